package service

import library "github.com/kardianos/service"

// hosted implements the library's interface for a service that the library only manages.
type hosted struct{}

func (hosted) Start(library.Service) error { return nil }
func (hosted) Stop(library.Service) error  { return nil }
