// An external-dns webhook provider on loopback: external-dns's own webhook API in front of one of its own providers, the
// in-memory one, or the one for name servers that take dynamic updates. Nothing of the protocol or of them is ours.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"

	"sigs.k8s.io/external-dns/endpoint"
	"sigs.k8s.io/external-dns/pkg/apis/externaldns"
	"sigs.k8s.io/external-dns/provider"
	"sigs.k8s.io/external-dns/provider/inmemory"
	"sigs.k8s.io/external-dns/provider/rfc2136"
	"sigs.k8s.io/external-dns/provider/webhook/api"
)

// filtered is a provider that says which domains it serves, as most do; these two name none.
type filtered struct {
	provider.Provider
	domains *endpoint.DomainFilter
}

func (f filtered) GetDomainFilter() endpoint.DomainFilterInterface { return f.domains }

func main() {
	port := flag.String("port", "8888", "port on 127.0.0.1")
	zone := flag.String("zone", "example.com", "zone that is served")
	server := flag.Int("rfc2136-port", 0, "port of a name server on 127.0.0.1; in memory when 0")
	key := flag.String("tsig-key", "", "name of the key for it; its secret is in TSIG_SECRET")
	flag.Parse()

	domains := endpoint.NewDomainFilter(strings.Split(*zone, ","))
	var backend provider.Provider
	if *server == 0 {
		backend = inmemory.NewInMemoryProvider(inmemory.InMemoryInitZones([]string{*zone}), inmemory.InMemoryWithLogging())
	} else {
		config := externaldns.NewConfig()
		config.RFC2136Host = []string{"127.0.0.1"}
		config.RFC2136Port = *server
		config.RFC2136Zone = []string{*zone}
		config.RFC2136TSIGKeyName = *key
		config.RFC2136TSIGSecret = os.Getenv("TSIG_SECRET")
		config.RFC2136TSIGSecretAlg = "hmac-sha256"
		config.RFC2136TAXFR = true
		config.RFC2136BatchChangeSize = 50
		var err error
		if backend, err = rfc2136.New(context.Background(), config, domains); err != nil {
			log.Fatal(err)
		}
	}

	webhook := api.WebhookServer{Provider: filtered{backend, domains}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", webhook.NegotiateHandler)
	mux.HandleFunc(api.UrlRecords, webhook.RecordsHandler)
	mux.HandleFunc(api.UrlAdjustEndpoints, webhook.AdjustEndpointsHandler)
	// The in-memory provider's maps have no lock.
	var turn sync.Mutex
	one := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn.Lock()
		defer turn.Unlock()
		mux.ServeHTTP(w, r)
	})
	log.Printf("serving %s on 127.0.0.1:%s", *zone, *port)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+*port, one))
}
