package store

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
)

const flagColumns = "id, environment_id, slug, name, description, tags, enabled, default_value, created_at, updated_at"

func scanFlag(s scanner) (identity.Flag, error) {
	var f identity.Flag
	var tags string
	var created, updated int64
	if err := s.Scan(&f.ID, &f.EnvironmentID, &f.Slug, &f.Name, &f.Description, &tags, &f.Enabled, &f.Default, &created, &updated); err != nil {
		return f, err
	}
	f.CreatedAt, f.UpdatedAt = fromMillis(created), fromMillis(updated)
	return f, json.Unmarshal([]byte(tags), &f.Tags)
}

func noFlag(slug string) error {
	return fault.New(fault.NotFound, "Feature flag not found: '%s'.", slug).WithCode("flag_not_found")
}

func tagList(tags []string) string {
	if len(tags) == 0 {
		return "[]"
	}
	return idList(tags)
}

// loadFlagged finds the environments that have flags: tokens of the others are
// made without asking for any.
func (db *DB) loadFlagged(ctx context.Context) error {
	return db.list(ctx, "SELECT DISTINCT environment_id FROM feature_flags", func(s scanner) error {
		var id string
		err := s.Scan(&id)
		db.flagged.Store(id, true)
		return err
	})
}

// flagContext begins what the events of a flag say besides it.
func (e *Env) flagContext(before *identity.Flag, after identity.Flag) identity.FlagContext {
	source := map[ActorKind]string{ByAPIKey: "api", ByTeamToken: "dashboard"}[e.by.Kind]
	if source == "" {
		source = "system"
	}
	return identity.FlagContext{ClientID: e.ClientID, ActorID: e.by.ID, ActorSource: source, Before: before, After: after}
}

// CreateFlag adds a flag; id and times are set here. A slug that is taken is a
// Conflict with the code flag_slug_conflict.
func (e *Env) CreateFlag(ctx context.Context, f identity.Flag) (identity.Flag, error) {
	now := e.db.now()
	f.ID, f.EnvironmentID = identity.NewID(identity.PrefixFlag), e.ID
	err := e.db.write(ctx, func(tx *tx) (err error) {
		// Before the row is there for others to see; one too many costs a query.
		e.db.flagged.Store(e.ID, true)
		_, err = tx.exec("INSERT INTO feature_flags ("+flagColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
			f.ID, e.ID, f.Slug, f.Name, f.Description, tagList(f.Tags), f.Enabled, f.Default, millis(now))
		if isUnique(err) {
			return fault.New(fault.Conflict, "A feature flag with the slug '%s' already exists.", f.Slug).WithCode("flag_slug_conflict")
		}
		if err != nil {
			return err
		}
		if f, err = e.flag(tx, f.Slug); err != nil {
			return err
		}
		if err := e.audit(tx, "feature_flag.created", f.Slug); err != nil {
			return err
		}
		return e.record(tx, happened{name: "flag.created", about: withContext{f, e.flagContext(nil, f)}})
	})
	return f, err
}

func (e *Env) flag(tx *tx, slug string) (identity.Flag, error) {
	f, err := scanFlag(tx.row("SELECT "+flagColumns+" FROM feature_flags WHERE environment_id = $1 AND slug = $2", e.ID, slug))
	if isNoRows(err) {
		return f, noFlag(slug)
	}
	return f, err
}

// ChangeFlag runs change on the flag with the given slug and keeps what became
// of it. A change that changes nothing is none, and makes no event.
func (e *Env) ChangeFlag(ctx context.Context, slug string, change func(*identity.Flag) error) (identity.Flag, error) {
	var f identity.Flag
	err := e.db.write(ctx, func(tx *tx) (err error) {
		before, err := e.flag(tx, slug)
		if err != nil {
			return err
		}
		f = before
		if err := change(&f); err != nil {
			return err
		}
		rule := f.Enabled != before.Enabled || f.Default != before.Default
		words := f.Name != before.Name || f.Description != before.Description || tagList(f.Tags) != tagList(before.Tags)
		if !rule && !words {
			return nil
		}
		_, err = tx.exec("UPDATE feature_flags SET name = $3, description = $4, tags = $5, enabled = $6, default_value = $7, updated_at = $8 WHERE environment_id = $1 AND id = $2",
			e.ID, before.ID, f.Name, f.Description, tagList(f.Tags), f.Enabled, f.Default, millis(e.db.now()))
		if err != nil {
			return err
		}
		if f, err = e.flag(tx, slug); err != nil {
			return err
		}
		action := "feature_flag.updated"
		if f.Enabled != before.Enabled {
			action = map[bool]string{true: "feature_flag.enabled", false: "feature_flag.disabled"}[f.Enabled]
		}
		if err := e.audit(tx, action, slug); err != nil {
			return err
		}
		about := e.flagContext(&before, f)
		list := []happened{{name: "flag.updated", about: withContext{f, about}}}
		if rule {
			about.Rule = true
			if about.Targets, err = e.flagTargets(tx, f.ID); err != nil {
				return err
			}
			about.TargetsBefore = about.Targets
			list = append(list, happened{name: "flag.rule_updated", about: withContext{f, about}})
		}
		return e.record(tx, list...)
	})
	return f, err
}

// DeleteFlag removes a flag with its targets.
func (e *Env) DeleteFlag(ctx context.Context, slug string) error {
	return e.db.write(ctx, func(tx *tx) error {
		f, err := e.flag(tx, slug)
		if err != nil {
			return err
		}
		if _, err := tx.exec("DELETE FROM feature_flags WHERE environment_id = $1 AND id = $2", e.ID, f.ID); err != nil {
			return err
		}
		if err := e.audit(tx, "feature_flag.deleted", slug); err != nil {
			return err
		}
		return e.record(tx, happened{name: "flag.deleted", about: withContext{f, e.flagContext(nil, f)}})
	})
}

// flagTargets returns the targets of a flag, oldest ids first.
func (e *Env) flagTargets(tx *tx, flagID string) (identity.FlagTargets, error) {
	var t identity.FlagTargets
	err := tx.rows("SELECT o.id, o.name FROM feature_flag_targets t JOIN organizations o ON o.id = t.organization_id WHERE t.flag_id = $1 ORDER BY o.id", func(s scanner) error {
		var o identity.Organization
		err := s.Scan(&o.ID, &o.Name)
		t.Organizations = append(t.Organizations, o)
		return err
	}, flagID)
	if err != nil {
		return t, err
	}
	err = tx.rows("SELECT u.id, u.email FROM feature_flag_targets t JOIN users u ON u.id = t.user_id WHERE t.flag_id = $1 ORDER BY u.id", func(s scanner) error {
		var u identity.User
		err := s.Scan(&u.ID, &u.Email)
		t.Users = append(t.Users, u)
		return err
	}, flagID)
	return t, err
}

// ErrFlagTarget says that an id is neither an organization's nor a user's.
var ErrFlagTarget = fault.New(fault.Invalid, "Invalid resource id").WithCode("invalid_resource_id_format")

// AddFlagTarget gives a flag to the organization or user with the given id;
// repeating it changes nothing. An id of another form is ErrFlagTarget.
func (e *Env) AddFlagTarget(ctx context.Context, slug, id string) error {
	return e.changeTargets(ctx, slug, id, "feature_flag.target_added",
		"INSERT INTO feature_flag_targets (flag_id, organization_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		"INSERT INTO feature_flag_targets (flag_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
}

// RemoveFlagTarget takes a target of a flag away; one that is none changes
// nothing. Errors are as those of AddFlagTarget.
func (e *Env) RemoveFlagTarget(ctx context.Context, slug, id string) error {
	return e.changeTargets(ctx, slug, id, "feature_flag.target_removed",
		"DELETE FROM feature_flag_targets WHERE flag_id = $1 AND organization_id = $2",
		"DELETE FROM feature_flag_targets WHERE flag_id = $1 AND user_id = $2")
}

func (e *Env) changeTargets(ctx context.Context, slug, id, action, organization, user string) error {
	return e.db.write(ctx, func(tx *tx) error {
		f, err := e.flag(tx, slug)
		if err != nil {
			return err
		}
		query := organization
		switch {
		case strings.HasPrefix(id, identity.PrefixOrganization+"_"):
			err = e.organizationExists(tx, id)
		case strings.HasPrefix(id, identity.PrefixUser+"_"):
			query, err = user, e.hasUser(tx, id)
		default:
			return ErrFlagTarget
		}
		if err != nil {
			return err
		}
		about := e.flagContext(&f, f)
		about.Rule = true
		if about.TargetsBefore, err = e.flagTargets(tx, f.ID); err != nil {
			return err
		}
		n, err := tx.exec(query, f.ID, id)
		if err != nil || n == 0 {
			return err
		}
		if about.Targets, err = e.flagTargets(tx, f.ID); err != nil {
			return err
		}
		if err := e.audit(tx, action, slug+" "+id); err != nil {
			return err
		}
		return e.record(tx, happened{name: "flag.rule_updated", about: withContext{f, about}})
	})
}

// Flag returns the flag with the given slug.
func (e *Env) Flag(ctx context.Context, slug string) (identity.Flag, error) {
	f, err := scanFlag(e.db.row(ctx, "SELECT "+flagColumns+" FROM feature_flags WHERE environment_id = $1 AND slug = $2", e.ID, slug))
	if isNoRows(err) {
		return f, noFlag(slug)
	}
	return f, err
}

// FlagsFor selects flags. The zero value is all of them.
type FlagsFor struct {
	OrganizationID string // those that the organization has
	UserID         string // those that the user has, also through an organization
}

// Flags returns a page of flags and the cursors of the neighbouring pages (""
// for none). An organization or user that is not there is NotFound.
func (e *Env) Flags(ctx context.Context, f FlagsFor, p Page) (list []identity.Flag, before, after string, err error) {
	query, args := "SELECT "+flagColumns+" FROM feature_flags WHERE environment_id = $1", []any{e.ID}
	switch {
	case f.OrganizationID != "":
		if _, err := e.Organization(ctx, f.OrganizationID); err != nil {
			return nil, "", "", err
		}
		args = append(args, f.OrganizationID)
		query += ` AND enabled = 1 AND (default_value = 1 OR EXISTS (SELECT 1 FROM feature_flag_targets t WHERE t.flag_id = feature_flags.id AND t.organization_id = $2))`
	case f.UserID != "":
		if _, err := e.User(ctx, f.UserID); err != nil {
			return nil, "", "", err
		}
		args = append(args, f.UserID)
		query += ` AND enabled = 1 AND (default_value = 1 OR EXISTS (SELECT 1 FROM feature_flag_targets t WHERE t.flag_id = feature_flags.id AND (t.user_id = $2
			OR t.organization_id IN (SELECT m.organization_id FROM organization_memberships m WHERE m.user_id = $2 AND m.status = 'active'))))`
	}
	return pageOf(ctx, e.db, query, args, p, scanFlag, func(v identity.Flag) string { return v.ID })
}

// EnabledFlags returns the slugs, sorted, that a session of the user has: those
// of everybody, of the user, and of the organization that it is in ("" for none).
func (e *Env) EnabledFlags(ctx context.Context, organizationID, userID string) (slugs []string, err error) {
	if _, any := e.db.flagged.Load(e.ID); !any {
		return nil, nil
	}
	err = e.db.list(ctx, `SELECT slug FROM feature_flags WHERE environment_id = $1 AND enabled = 1 AND (default_value = 1
		OR EXISTS (SELECT 1 FROM feature_flag_targets t WHERE t.flag_id = feature_flags.id AND (t.organization_id = $2 OR t.user_id = $3))) ORDER BY slug`, func(s scanner) error {
		var slug string
		err := s.Scan(&slug)
		slugs = append(slugs, slug)
		return err
	}, e.ID, organizationID, userID)
	return slugs, err
}
