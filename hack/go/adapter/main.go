// Adapter is prometheus-adapter for External metrics alone, on this Kubernetes version's libraries.
//
// Its own main needs those of Kubernetes 1.30, which would all be compiled for this one program. Provider, naming and
// queries are the released ones; the flags have the same names.
package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	prom "sigs.k8s.io/prometheus-adapter/pkg/client"
	"sigs.k8s.io/prometheus-adapter/pkg/config"
	external "sigs.k8s.io/prometheus-adapter/pkg/external-provider"
	"sigs.k8s.io/prometheus-adapter/pkg/naming"
)

func main() {
	logs.InitLogs()
	defer logs.FlushLogs()

	adapter := &cmd.AdapterBase{Name: "prometheus-metrics-adapter"}
	flags := adapter.Flags()
	prometheusURL := flags.String("prometheus-url", "https://localhost", "URL for connecting to Prometheus.")
	configFile := flags.String("config", "", "File with the rules from Prometheus metrics to External metrics.")
	relist := flags.Duration("metrics-relist-interval", 10*time.Minute, "Interval of listing the available metrics.")
	logs.AddFlags(flags)
	must(flags.Parse(os.Args))

	rules, err := config.FromFile(*configFile)
	must(err)
	mapper, err := adapter.RESTMapper()
	must(err)
	namers, err := naming.NamersFromConfig(rules.ExternalRules, mapper)
	must(err)
	baseURL, err := url.Parse(*prometheusURL)
	must(err)

	api := prom.NewGenericAPIClient(http.DefaultClient, baseURL, http.Header{})
	client := prom.NewClientForAPI(withoutTimeout{api}, http.MethodGet)
	provider, lister := external.NewExternalPrometheusProvider(client, namers, *relist, *relist)
	ctx := genericapiserver.SetupSignalContext()
	lister.RunUntil(ctx.Done())
	adapter.WithExternalMetrics(provider)
	must(adapter.Run(ctx))
}

// withoutTimeout leaves out the parameter of that name, which 0.12.0 computes with the wrong sign: Prometheus refuses
// "-59s". The request still ends with its context.
type withoutTimeout struct{ prom.GenericAPIClient }

func (c withoutTimeout) Do(
	ctx context.Context, verb, endpoint string, query url.Values,
) (prom.APIResponse, error) {
	query.Del("timeout")
	return c.GenericAPIClient.Do(ctx, verb, endpoint, query)
}

func must(err error) {
	if err != nil {
		klog.Fatal(err)
	}
}
