package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/secret"
)

// Team is one team's part of the database.
type Team struct {
	db *DB
	by Actor // who opened it with a credential, for the audit log
	identity.Team
}

const teamColumns = "t.id, t.name, t.slug, t.admin_email, t.number, t.disconnected, t.created_at, t.updated_at"

func scanTeam(s scanner) (identity.Team, error) {
	var t identity.Team
	var created, updated int64
	err := s.Scan(&t.ID, &t.Name, &t.Slug, &t.AdminEmail, &t.Number, &t.Disconnected, &created, &updated)
	t.CreatedAt, t.UpdatedAt = fromMillis(created), fromMillis(updated)
	return t, err
}

// CreateTeam makes a team. The slug comes from the name and is made unique by
// a number. An administrator's address that already has a team is refused with
// code user_already_exists, as the Platform API does.
func (db *DB) CreateTeam(ctx context.Context, name, adminEmail string) (*Team, error) {
	if strings.TrimSpace(name) == "" {
		return nil, fault.New(fault.Invalid, "a team needs a name").WithCode("name_required")
	}
	now := db.now()
	t := identity.Team{Name: name, AdminEmail: adminEmail}
	err := db.write(ctx, func(tx *tx) error {
		var n int
		if err := tx.row("SELECT count(*) FROM teams WHERE admin_email = $1 AND admin_email <> ''", adminEmail).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "A WorkOS team already exists with %s. Please select a different email address.", adminEmail).WithCode("user_already_exists")
		}
		return insertTeam(tx, &t, now, false)
	})
	if err != nil {
		return nil, err
	}
	return &Team{db: db, Team: t}, nil
}

// insertTeam gives a team its id, number and slug and writes it. An internal
// team is the server's own.
func insertTeam(tx *tx, t *identity.Team, now time.Time, internal bool) error {
	t.ID, t.CreatedAt, t.UpdatedAt, t.Slug = identity.NewID(identity.PrefixTeam), now, now, Slug(t.Name)
	if err := tx.row("SELECT coalesce(max(number), 0) + 1 FROM teams").Scan(&t.Number); err != nil {
		return err
	}
	for i := 2; ; i++ {
		n, err := tx.exec(`INSERT INTO teams (id, name, slug, admin_email, number, internal, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
			ON CONFLICT (slug) DO NOTHING`, t.ID, t.Name, t.Slug, t.AdminEmail, t.Number, internal, millis(now))
		if err != nil || n == 1 {
			return err
		}
		t.Slug = fmt.Sprintf("%s-%d", Slug(t.Name), i)
	}
}

// FirstTeam returns the oldest team, and makes one with the given name when
// there is none. Of many callers exactly one makes it.
func (db *DB) FirstTeam(ctx context.Context, name string) (*Team, error) {
	var t identity.Team
	err := db.write(ctx, func(tx *tx) (err error) {
		t, err = scanTeam(tx.row("SELECT " + teamColumns + " FROM teams t WHERE t.internal = 0 ORDER BY t.id LIMIT 1"))
		if !isNoRows(err) {
			return err
		}
		t = identity.Team{Name: name}
		return insertTeam(tx, &t, db.now(), false)
	})
	return &Team{db: db, Team: t}, err
}

// Team returns the team with the given id.
func (db *DB) Team(ctx context.Context, id string) (*Team, error) {
	t, err := scanTeam(db.row(ctx, "SELECT "+teamColumns+" FROM teams t WHERE t.id = $1", id))
	if isNoRows(err) {
		return nil, fault.New(fault.NotFound, "team %q was not found", id).WithCode("team_not_found")
	}
	if err != nil {
		return nil, err
	}
	return &Team{db: db, Team: t}, nil
}

// Teams returns all teams but the server's own, oldest first.
func (db *DB) Teams(ctx context.Context) ([]*Team, error) {
	var all []*Team
	err := db.list(ctx, "SELECT "+teamColumns+" FROM teams t WHERE t.internal = 0 ORDER BY t.id", func(s scanner) error {
		t, err := scanTeam(s)
		all = append(all, &Team{db: db, Team: t})
		return err
	})
	return all, err
}

// Slug turns a name into lower-case letters, digits and single hyphens, at
// most 48 characters; a name without any of these becomes "team".
func Slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 48 {
			break
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "team"
}

// CredentialKind says what a team credential is for.
type CredentialKind string

const (
	ClientCredential CredentialKind = "client" // client_id and client_secret of the Platform API
	AccessCredential CredentialKind = "access" // bearer token made from client credentials
	TokenCredential  CredentialKind = "token"  // long-lived bearer token of people and builds
)

// Credential is a team credential as it is made; Secret is shown only then.
type Credential struct {
	ID     string
	Secret secret.String
}

// CreateCredential makes a credential of this team. A zero expires never ends.
func (t *Team) CreateCredential(ctx context.Context, kind CredentialKind, name string, expires time.Time) (*Credential, error) {
	prefix := map[CredentialKind]string{ClientCredential: "berth_secret_", AccessCredential: "berth_at_", TokenCredential: "berth_token_"}[kind]
	c := &Credential{ID: identity.NewID(identity.PrefixCredential), Secret: secret.String(prefix + rand.Text() + rand.Text()[:6])}
	hash := sha256.Sum256([]byte(c.Secret.Reveal()))
	err := t.db.write(ctx, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO team_credentials (id, team_id, kind, name, hash, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			c.ID, t.ID, string(kind), name, hash[:], millis(expires), millis(t.db.now()))
		if err != nil {
			return err
		}
		return t.audit(tx, "", "credential.created", c.ID)
	})
	return c, err
}

// TeamByToken returns the team that a bearer token belongs to: an access
// token or a long-lived one, not a client secret.
func (db *DB) TeamByToken(ctx context.Context, token string) (*Team, error) {
	hash := sha256.Sum256([]byte(token))
	var id string
	row := db.row(ctx, `SELECT c.id, `+teamColumns+`
		FROM team_credentials c JOIN teams t ON t.id = c.team_id
		WHERE c.hash = $1 AND c.kind <> 'client' AND (c.expires_at = 0 OR c.expires_at > $2)`, hash[:], millis(db.now()))
	t, err := scanTeam(prefixed{row, &id})
	if isNoRows(err) {
		return nil, fault.New(fault.Unauthenticated, "Unauthorized").WithCode("unauthorized")
	}
	if err != nil {
		return nil, err
	}
	return &Team{db: db, by: Actor{Kind: ByTeamToken, ID: id}, Team: t}, nil
}

// prefixed scans one value before those of another scan.
type prefixed struct {
	scanner
	first any
}

func (p prefixed) Scan(rest ...any) error {
	return p.scanner.Scan(append([]any{p.first}, rest...)...)
}

// TeamByClient returns the team of Platform client credentials.
func (db *DB) TeamByClient(ctx context.Context, clientID, clientSecret string) (*Team, error) {
	hash := sha256.Sum256([]byte(clientSecret))
	t, err := scanTeam(db.row(ctx, `SELECT `+teamColumns+`
		FROM team_credentials c JOIN teams t ON t.id = c.team_id WHERE c.id = $1 AND c.hash = $2 AND c.kind = 'client' AND (c.expires_at = 0 OR c.expires_at > $3)`, clientID, hash[:], millis(db.now())))
	if isNoRows(err) {
		return nil, fault.New(fault.Unauthenticated, "invalid client credentials").WithCode("invalid_client")
	}
	if err != nil {
		return nil, err
	}
	return &Team{db: db, Team: t}, nil
}

// Invite records an invitation of a person to the team, or sends a pending one
// again. The administrator of this or another team is refused, in the
// Platform API's words.
func (t *Team) Invite(ctx context.Context, email, role string) error {
	key, now := identity.EmailKey(email), millis(t.db.now())
	return t.db.write(ctx, func(tx *tx) error {
		var member string
		err := tx.row("SELECT id FROM teams WHERE lower(admin_email) = $1", key).Scan(&member)
		switch {
		case err == nil && member == t.ID:
			return fault.New(fault.Invalid, "%s is already a member of this team.", email).WithCode("already_member")
		case err == nil:
			return fault.New(fault.Invalid, "%s is already a member of another team.", email).WithCode("member_of_another_team")
		case !isNoRows(err):
			return err
		}
		_, err = tx.exec(`INSERT INTO team_invitations (team_id, email_key, email, role, sent_at, created_at) VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (team_id, email_key) DO UPDATE SET role = excluded.role, sent_at = excluded.sent_at`, t.ID, key, email, role, now)
		if err != nil {
			return err
		}
		return t.audit(tx, "", "member.invited", role)
	})
}

// newAPIKeyValue returns a key value in WorkOS's observed form: sk_test_ or
// sk_live_ and the base64 of "key_<ULID>,<25 random characters>".
func newAPIKeyValue(production bool) secret.String {
	prefix := "sk_test_"
	if production {
		prefix = "sk_live_"
	}
	return secret.String(prefix + base64.RawStdEncoding.EncodeToString([]byte("key_"+identity.NewULID()+","+rand.Text()[:25])))
}
