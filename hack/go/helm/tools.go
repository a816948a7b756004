//go:build tools

// Package helm pins what the bring-up builds from this module.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
