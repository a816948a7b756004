//go:build tools

// Package coredns pins what the bring-up builds from this module.
package coredns

import _ "github.com/coredns/coredns"
