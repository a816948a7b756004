//go:build tools

// Package prometheusadapter pins what the bring-up builds from this module.
package prometheusadapter

import _ "sigs.k8s.io/prometheus-adapter/cmd/adapter"
