package workos

// MailCode is a magic_auth or email_verification object: a six-digit code that
// was sent by mail.
type MailCode struct {
	Object    string     `json:"object"` // "magic_auth" or "email_verification"
	ID        string     `json:"id"`
	UserID    string     `json:"user_id"`
	Email     string     `json:"email"`
	Code      Credential `json:"code"`
	ExpiresAt Time       `json:"expires_at"`
	CreatedAt Time       `json:"created_at"`
	UpdatedAt Time       `json:"updated_at"`
}

// PasswordReset is a password_reset object.
type PasswordReset struct {
	Object    string     `json:"object"` // "password_reset"
	ID        string     `json:"id"`
	UserID    string     `json:"user_id"`
	Email     string     `json:"email"`
	Token     Credential `json:"password_reset_token"`
	URL       Credential `json:"password_reset_url"`
	ExpiresAt Time       `json:"expires_at"`
	CreatedAt Time       `json:"created_at"`
}

// EmailChange is the answer of beginning a change of address.
type EmailChange struct {
	Object    string `json:"object"` // "email_change"
	User      User   `json:"user"`
	NewEmail  string `json:"new_email"`
	ExpiresAt Time   `json:"expires_at"`
	CreatedAt Time   `json:"created_at"`
}

// EmailChangeConfirmation is the answer of completing it.
type EmailChangeConfirmation struct {
	Object string `json:"object"` // "email_change_confirmation"
	User   User   `json:"user"`
}
