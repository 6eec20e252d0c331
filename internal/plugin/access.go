package plugin

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/version"
)

// clusterAccess holds the flags of kubectl that select the cluster and the identity.
type clusterAccess struct {
	flags    *genericclioptions.ConfigFlags
	warnings io.Writer
}

// fleet is a namespace of the cluster and a client that acts as the person.
type fleet struct {
	client.WithWatch
	namespace string
	server    string
}

// newClusterAccess offers the flags that people use daily; all other settings come from the
// kubeconfig.
func newClusterAccess(warnings io.Writer) *clusterAccess {
	all := genericclioptions.NewConfigFlags(true)
	return &clusterAccess{warnings: warnings, flags: &genericclioptions.ConfigFlags{
		KubeConfig: all.KubeConfig, Context: all.Context, Namespace: all.Namespace, Timeout: all.Timeout,
		Impersonate: all.Impersonate, ImpersonateGroup: all.ImpersonateGroup,
	}}
}

func (a *clusterAccess) addFlags(set *pflag.FlagSet) { a.flags.AddFlags(set) }

// open reads the kubeconfig and returns a client for it; it sends no request.
func (a *clusterAccess) open() (*fleet, error) {
	config, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	namespace, _, err := a.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the namespace from the kubeconfig: %w", err)
	}
	config.UserAgent = "kubectl-mooring/" + version.Version
	config.WarningHandler = rest.NewWarningWriter(a.warnings, rest.WarningWriterOptions{Deduplicate: true})
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: newRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", config.Host, err)
	}
	return &fleet{WithWatch: c, namespace: namespace, server: config.Host}, nil
}

// list lists the objects of a kind in the namespace.
func (f *fleet) list(ctx context.Context, list client.ObjectList) error {
	return f.List(ctx, list, client.InNamespace(f.namespace))
}

// get reads one object of the namespace.
func (f *fleet) get(ctx context.Context, name string, into client.Object) error {
	return f.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: name}, into)
}

var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(v1alpha1.AddToScheme(s))
	utilruntime.Must(corev1.AddToScheme(s))
	utilruntime.Must(authorizationv1.AddToScheme(s))
	utilruntime.Must(coordinationv1.AddToScheme(s))
	return s
}

// newRESTMapper returns a static mapping of the few kinds in use. Commands therefore need no
// discovery request, and people without the right to discover can use them.
func newRESTMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	add := func(gv schema.GroupVersion, kind, plural string, scope meta.RESTScope) {
		m.AddSpecific(gv.WithKind(kind), gv.WithResource(plural), gv.WithResource(plural), scope)
	}
	add(v1alpha1.GroupVersion, "Node", "nodes", meta.RESTScopeNamespace)
	add(v1alpha1.GroupVersion, "PairingCode", "pairingcodes", meta.RESTScopeNamespace)
	add(v1alpha1.GroupVersion, "PairingRequest", "pairingrequests", meta.RESTScopeNamespace)
	add(v1alpha1.GroupVersion, "CapabilityDispatch", "capabilitydispatches", meta.RESTScopeNamespace)
	add(corev1.SchemeGroupVersion, "Namespace", "namespaces", meta.RESTScopeRoot)
	add(corev1.SchemeGroupVersion, "Secret", "secrets", meta.RESTScopeNamespace)
	add(coordinationv1.SchemeGroupVersion, "Lease", "leases", meta.RESTScopeNamespace)
	add(authorizationv1.SchemeGroupVersion, "SelfSubjectAccessReview", "selfsubjectaccessreviews", meta.RESTScopeRoot)
	return m
}

// objectMeta returns the metadata of an object whose name the server generates.
func (f *fleet) objectMeta(generateName string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: f.namespace, GenerateName: generateName}
}
