// The programs of the tests' cluster as one: etcd, kube-apiserver, Argo CD's ApplicationSet controller, a preview by
// argocd-server, or what Kubernetes makes of selectors, by the first argument. Each is what its project releases; which
// versions, go.mod says.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
)

var programs = map[string]func(arguments []string) int{
	"etcd":           runEtcd,
	"kube-apiserver": run(apiserver.NewAPIServerCommand),
	"controller":     run(controller.NewCommand),
	"preview":        preview,
	"selectors":      selectors,
}

func run(command func() *cobra.Command) func([]string) int {
	return func(arguments []string) int {
		made := command()
		made.SetArgs(arguments)
		return cli.Run(made)
	}
}

func runEtcd(arguments []string) int {
	etcdmain.Main(append([]string{"etcd"}, arguments...))
	return 0
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		names := strings.Join(slices.Sorted(maps.Keys(programs)), "|")
		fmt.Fprintf(os.Stderr, "usage: %s %s [flags]\n", os.Args[0], names)
		os.Exit(2)
	}
	os.Exit(programs[os.Args[1]](os.Args[2:]))
}
