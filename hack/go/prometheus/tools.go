//go:build tools

// Package prometheus pins what the bring-up builds from this module.
package prometheus

import _ "github.com/prometheus/prometheus/cmd/prometheus"
