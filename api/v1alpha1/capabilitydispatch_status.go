package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DispatchPhase is the phase of a CapabilityDispatch.
type DispatchPhase string

const (
	// DispatchQueued means that the dispatch waits for its Node. The phase of a new object.
	DispatchQueued DispatchPhase = "Queued"
	// DispatchDispatched means that the agent accepted the dispatch, or that a gateway claimed it
	// for the agent.
	DispatchDispatched DispatchPhase = "Dispatched"
	// DispatchAwaitingLocalMediation means that a person at the machine is asked. If the person
	// agrees, the phase returns to Dispatched, which is the only transition back.
	DispatchAwaitingLocalMediation DispatchPhase = "AwaitingLocalMediation"
	// DispatchSucceeded means that the capability returned. Final.
	DispatchSucceeded DispatchPhase = "Succeeded"
	// DispatchFailed means that the capability returned an error or could not finish. Final.
	DispatchFailed DispatchPhase = "Failed"
	// DispatchTimedOut means that the dispatch expired before it started, or exceeded its run time.
	// Final.
	DispatchTimedOut DispatchPhase = "TimedOut"
	// DispatchRejected means that the dispatch was refused and not run. Final.
	DispatchRejected DispatchPhase = "Rejected"
	// DispatchCancelled means that spec.cancel ended the dispatch. Final.
	DispatchCancelled DispatchPhase = "Cancelled"
)

// Terminal reports whether the phase is final.
func (p DispatchPhase) Terminal() bool {
	switch p {
	case DispatchSucceeded, DispatchFailed, DispatchTimedOut, DispatchRejected, DispatchCancelled:
		return true
	}
	return false
}

// Execution is the proven state of the run of a dispatch; empty means that nothing is proven yet.
type Execution string

const (
	// ExecutionNotStarted means that the dispatch provably never ran. Final.
	ExecutionNotStarted Execution = "NotStarted"
	// ExecutionStarted means that the run provably began.
	ExecutionStarted Execution = "Started"
	// ExecutionFinished means that the run provably ended, with success or not. Final.
	ExecutionFinished Execution = "Finished"
	// ExecutionUnknown means that the dispatch may have run; a late result can still settle it.
	ExecutionUnknown Execution = "Unknown"
)

// Final reports whether the execution can no longer change.
func (e Execution) Final() bool {
	return e == ExecutionNotStarted || e == ExecutionFinished
}

// CapabilityDispatchStatus is the state of a dispatch. A terminal phase never changes; a late
// result may still complete execution and output.
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

	// execution is the proven state of the run: unset, NotStarted, Started, Finished, or Unknown
	// ("may have run").
	// +optional
	// +kubebuilder:validation:Enum=NotStarted;Started;Finished;Unknown
	Execution Execution `json:"execution,omitempty"`

	// output is the output of the capability, any JSON value of at most maxPayloadBytes.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Output *JSON `json:"output,omitempty"`

	// outputTruncated is true if output was truncated. The output was longer than maxPayloadBytes,
	// or too long for the API server to store with the rest of the object.
	// +optional
	OutputTruncated bool `json:"outputTruncated,omitempty"`

	// error is the error with which the dispatch failed, if it did not succeed.
	// +optional
	Error *DispatchError `json:"error,omitempty"`

	// progress is the last progress report of a running capability.
	// +optional
	Progress *DispatchProgress `json:"progress,omitempty"`

	// mediation describes the question to a person at the machine.
	// +optional
	Mediation *DispatchMediation `json:"mediation,omitempty"`

	// gateway is the replica that last wrote the status, at most 253 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Gateway string `json:"gateway,omitempty"`

	// dispatchedTime is the time at which the agent accepted the dispatch, or at which it was
	// claimed for the agent. The gateway estimates the API server's clock for it. It is never
	// before the creation.
	// +optional
	DispatchedTime *metav1.MicroTime `json:"dispatchedTime,omitempty"`

	// startedTime is the time at which the capability began to run. It is from the clock of the
	// machine, or from the gateway's clock if progress was reported first. If that clock is wrong,
	// the time is moved between dispatchedTime (or the creation) and completedTime.
	// +optional
	StartedTime *metav1.MicroTime `json:"startedTime,omitempty"`

	// completedTime is the time at which the dispatch reached its final phase, by the API server's
	// clock as the gateway or the controller estimates it. It is never before dispatchedTime and
	// startedTime.
	// +optional
	CompletedTime *metav1.MicroTime `json:"completedTime,omitempty"`

	// conditions describe the current state of the dispatch: Delivered, Complete and Withdrawn.
	// Withdrawn means that the machine was asked to cancel, because the dispatch may no longer run.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DispatchError explains why a dispatch did not succeed.
type DispatchError struct {
	// code is the error code for programs, such as NotGranted, at most 64 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code"`

	// message is the explanation for users, at most 4096 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
}

// DispatchProgress is the progress of a running capability.
type DispatchProgress struct {
	// percent is the completed share, from 0 to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent int32 `json:"percent,omitempty"`

	// message describes the progress to users, at most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}

// DispatchMediation describes a question to a person at the machine.
type DispatchMediation struct {
	// askedUser is the local user who was asked, at most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	AskedUser string `json:"askedUser,omitempty"`

	// since is the time at which the person was asked, by the clock of the machine. A time in the
	// future is replaced by the gateway's time.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}
