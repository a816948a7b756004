//go:build tools

// Package hack pins the programs that the bring-up builds as they are.
package hack

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "go.etcd.io/etcd/server/v3"
	_ "helm.sh/helm/v3/cmd/helm"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "sigs.k8s.io/kind"
	_ "sigs.k8s.io/kube-network-policies/cmd"
)
