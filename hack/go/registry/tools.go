//go:build tools

// Package registry pins what the bring-up builds from this module.
package registry

import _ "github.com/distribution/distribution/v3/cmd/registry"
