//go:build tools

// Package kind pins what the bring-up builds from this module.
package kind

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "sigs.k8s.io/kind"
)
