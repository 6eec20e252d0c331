package v1alpha1

// SystemInfo describes a machine as its agent reports it. Nothing in it is proven: it is shown to
// users and never used in a decision.
type SystemInfo struct {
	// os is the operating system in Go's naming, such as linux, darwin or windows.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	OS string `json:"os,omitempty"`

	// arch is the processor architecture in Go's naming, such as amd64 or arm64.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Arch string `json:"arch,omitempty"`

	// platform is os/arch, such as linux/amd64.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Platform string `json:"platform,omitempty"`

	// hostname is the host name of the machine.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Hostname string `json:"hostname,omitempty"`

	// kernelVersion is the version of the running kernel.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	KernelVersion string `json:"kernelVersion,omitempty"`

	// osImage is the name and version of the distribution, such as "Debian GNU/Linux 12".
	// +optional
	// +kubebuilder:validation:MaxLength=256
	OSImage string `json:"osImage,omitempty"`

	// agentVersion is the version of mooring-agent.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	AgentVersion string `json:"agentVersion,omitempty"`
}

// PairingMethod is the way in which a machine proves that it was invited.
type PairingMethod string

const (
	// PairingMethodPIN is a short code that a person types; both sides count the tries.
	PairingMethodPIN PairingMethod = "PIN"
	// PairingMethodQR is a QR code with a 128-bit secret and the pin of the server CA.
	PairingMethodQR PairingMethod = "QR"
	// PairingMethodServiceAccount is the token of an agent that runs in a cluster; no code is
	// needed.
	PairingMethodServiceAccount PairingMethod = "ServiceAccount"
)
