package server

import (
	"context"
	"errors"
)

// expirePreviews deletes preview deployments whose time is over, each with its
// auth environment. One that fails does not keep the others.
func (s *Server) expirePreviews(ctx context.Context) error {
	over, err := s.db.ExpiredPreviews(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range over {
		t, err := s.db.Team(ctx, d.TeamID)
		if err == nil {
			err = t.DeleteDeployment(ctx, d.Project, d.Kind, d.Reference)
		}
		if err == nil {
			err = s.api.Gone(ctx, t, d.Project, d.Reference)
		}
		if err == nil {
			s.cfg.Log.InfoContext(ctx, "preview deleted: its time is over", "deployment", d.Name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
