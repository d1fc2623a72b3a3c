package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/pkg/apiclient/applicationset"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/pkg/client/clientset/versioned"
	"github.com/argoproj/argo-cd/v3/pkg/client/informers/externalversions"
	server "github.com/argoproj/argo-cd/v3/server/applicationset"
	"github.com/argoproj/argo-cd/v3/util/db"
	"github.com/argoproj/argo-cd/v3/util/rbac"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"github.com/argoproj/pkg/v2/sync"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// preview reads an ApplicationSet as JSON from its input, lets argocd-server's own code generate its Applications, as
// `argocd appset generate` does, and writes their names as JSON.
func preview(arguments []string) int {
	flags := flag.NewFlagSet("preview", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "the cluster")
	namespace := flags.String("namespace", "argocd", "where Argo CD is")
	_ = flags.Parse(arguments)
	names, err := generated(context.Background(), *kubeconfig, *namespace)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(names)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func generated(ctx context.Context, kubeconfig, namespace string) ([]string, error) {
	service, err := applicationSets(ctx, kubeconfig, namespace)
	if err != nil {
		return nil, err
	}
	asked := &v1alpha1.ApplicationSet{}
	if err := json.NewDecoder(os.Stdin).Decode(asked); err != nil {
		return nil, err
	}
	found, err := service.Generate(ctx, &applicationset.ApplicationSetGenerateRequest{ApplicationSet: asked})
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, application := range found.Applications {
		names = append(names, application.Name)
	}
	return names, nil
}

// applicationSets puts argocd-server's service together as argocd-server does, for a person who may do anything.
func applicationSets(ctx context.Context, kubeconfig, namespace string) (applicationset.ApplicationSetServiceServer, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	core := kubernetes.NewForConfigOrDie(config)
	own := versioned.NewForConfigOrDie(config)
	if err := v1alpha1.AddToScheme(scheme.Scheme); err != nil {
		return nil, err
	}
	direct, err := client.New(config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		return nil, err
	}
	clusters, err := settings.NewClusterInformer(core, namespace)
	if err != nil {
		return nil, err
	}
	sets := externalversions.NewSharedInformerFactory(own, 0).Argoproj().V1alpha1().ApplicationSets()
	allowed := rbac.NewEnforcer(core, namespace, common.ArgoCDRBACConfigMapName, nil)
	allowed.EnableEnforce(false)
	return server.NewServer(
		db.NewDB(namespace, settings.NewSettingsManager(ctx, core, namespace), core),
		core,
		dynamic.NewForConfigOrDie(config),
		client.NewNamespacedClient(client.NewDryRunClient(direct), namespace),
		allowed,
		nil,
		own,
		sets.Informer(),
		sets.Lister(),
		nil,
		namespace,
		sync.NewKeyLock(),
		nil,
		false,
		false,
		"",
		nil,
		false,
		false,
		nil,
		clusters,
	), nil
}
