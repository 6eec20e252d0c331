package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DispatchPhase is where a CapabilityDispatch is in its life.
type DispatchPhase string

const (
	// DispatchQueued waits for its Node. The phase of a new object.
	DispatchQueued DispatchPhase = "Queued"
	// DispatchDispatched was accepted by the agent, or is claimed for it.
	DispatchDispatched DispatchPhase = "Dispatched"
	// DispatchAwaitingLocalMediation waits for a person at the machine; after a yes it goes
	// back to Dispatched, the only step back there is.
	DispatchAwaitingLocalMediation DispatchPhase = "AwaitingLocalMediation"
	// DispatchSucceeded means that the capability returned. Final.
	DispatchSucceeded DispatchPhase = "Succeeded"
	// DispatchFailed means that the capability returned an error or could not finish. Final.
	DispatchFailed DispatchPhase = "Failed"
	// DispatchTimedOut means that it expired before it started, or did not finish in its run
	// time. Final.
	DispatchTimedOut DispatchPhase = "TimedOut"
	// DispatchRejected means that it was not run on purpose. Final.
	DispatchRejected DispatchPhase = "Rejected"
	// DispatchCancelled means that spec.cancel won. Final.
	DispatchCancelled DispatchPhase = "Cancelled"
)

// Terminal reports whether the phase never changes again.
func (p DispatchPhase) Terminal() bool {
	switch p {
	case DispatchSucceeded, DispatchFailed, DispatchTimedOut, DispatchRejected, DispatchCancelled:
		return true
	}
	return false
}

// Execution is what is proven about the run of a dispatch; empty means nothing yet.
type Execution string

const (
	// ExecutionNotStarted is proven never to have run. Final.
	ExecutionNotStarted Execution = "NotStarted"
	// ExecutionStarted is proven to have begun.
	ExecutionStarted Execution = "Started"
	// ExecutionFinished is proven to have come to its end, well or badly. Final.
	ExecutionFinished Execution = "Finished"
	// ExecutionUnknown may have run; a late result can still settle it.
	ExecutionUnknown Execution = "Unknown"
)

// Final reports whether nothing can be learned about the run any more.
func (e Execution) Final() bool {
	return e == ExecutionNotStarted || e == ExecutionFinished
}

// CapabilityDispatchStatus is what became of a dispatch. A terminal phase never changes; a
// late result may still complete execution and output.
//
// +kubebuilder:validation:XValidation:rule="!(oldSelf.phase in ['Succeeded', 'Failed', 'TimedOut', 'Rejected', 'Cancelled']) || self.phase == oldSelf.phase",message="a terminal phase is final: create another CapabilityDispatch",fieldPath=".phase",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="oldSelf.phase == 'Queued' || self.phase != 'Queued'",message="a dispatch that left the queue does not return to it",fieldPath=".phase",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.execution) || (has(self.execution) && (self.execution == oldSelf.execution || (oldSelf.execution == 'Started' && self.execution in ['Finished', 'Unknown']) || (oldSelf.execution == 'Unknown' && self.execution in ['Finished', 'NotStarted'])))",message="execution says what is proven: it goes from Started to Finished or Unknown, from Unknown to Finished or NotStarted, and is final otherwise",reason=FieldValueForbidden
type CapabilityDispatchStatus struct {
	// phase is Queued (default), Dispatched, AwaitingLocalMediation, or one of the final
	// Succeeded, Failed, TimedOut, Rejected, Cancelled.
	// +optional
	// +kubebuilder:default=Queued
	// +kubebuilder:validation:Enum=Queued;Dispatched;AwaitingLocalMediation;Succeeded;Failed;TimedOut;Rejected;Cancelled
	Phase DispatchPhase `json:"phase,omitempty"`

	// execution is what is proven about the run: unset, NotStarted, Started, Finished, or
	// Unknown ("may have run").
	// +optional
	// +kubebuilder:validation:Enum=NotStarted;Started;Finished;Unknown
	Execution Execution `json:"execution,omitempty"`

	// output is what the capability returned, any JSON value of at most maxPayloadBytes.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Output *JSON `json:"output,omitempty"`

	// outputTruncated is true when output was cut: it was longer than maxPayloadBytes, or than what
	// the API server can store beside the rest of the object.
	// +optional
	OutputTruncated bool `json:"outputTruncated,omitempty"`

	// error says why the dispatch did not succeed.
	// +optional
	Error *DispatchError `json:"error,omitempty"`

	// progress is the last word of a running capability.
	// +optional
	Progress *DispatchProgress `json:"progress,omitempty"`

	// mediation is the question to a person at the machine.
	// +optional
	Mediation *DispatchMediation `json:"mediation,omitempty"`

	// gateway is the replica that last wrote, at most 253 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Gateway string `json:"gateway,omitempty"`

	// dispatchedTime is when the dispatch was accepted by the agent or claimed for it, by the API
	// server's clock as the gateway estimates it. It is never before the creation.
	// +optional
	DispatchedTime *metav1.MicroTime `json:"dispatchedTime,omitempty"`

	// startedTime is when the capability began to run, by the clock of the machine, or of the gateway
	// if progress was reported first. It is moved between dispatchedTime, or the creation, and
	// completedTime if that clock is wrong.
	// +optional
	StartedTime *metav1.MicroTime `json:"startedTime,omitempty"`

	// completedTime is when the dispatch reached its final phase, by the API server's clock as the
	// gateway or the controller estimates it. It is never before dispatchedTime and startedTime.
	// +optional
	CompletedTime *metav1.MicroTime `json:"completedTime,omitempty"`

	// conditions: Delivered, Complete, and Withdrawn when the machine was asked to cancel because
	// the dispatch may not run any more.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DispatchError says why a dispatch did not succeed.
type DispatchError struct {
	// code is one word for programs, such as NotGranted, at most 64 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`

	// message is a sentence for people, at most 4096 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
}

// DispatchProgress is how far a running capability is.
type DispatchProgress struct {
	// percent from 0 to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent int32 `json:"percent,omitempty"`

	// message for people, at most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}

// DispatchMediation is a question to a person at the machine.
type DispatchMediation struct {
	// askedUser is the local user who was asked, at most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	AskedUser string `json:"askedUser,omitempty"`

	// since is when the question was put, by the clock of the machine; a time in the future counts as
	// the time of the gateway.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}
