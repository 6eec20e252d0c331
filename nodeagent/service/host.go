package service

import library "github.com/kardianos/service"

// noopService implements the library's interface for a service that the library only manages.
type noopService struct{}

func (noopService) Start(library.Service) error { return nil }
func (noopService) Stop(library.Service) error  { return nil }
