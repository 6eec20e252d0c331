package service

import library "github.com/kardianos/service"

// hosted is what the library wants for a service that it only manages.
type hosted struct{}

func (hosted) Start(library.Service) error { return nil }
func (hosted) Stop(library.Service) error  { return nil }
