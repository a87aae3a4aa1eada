package web

import "strings"

// input is a visible form field. Its template ties label, hints and error to it.
type input struct {
	Name         string // also its id
	Label        string
	Optional     bool
	Type         string // email, password, text
	Value        string
	Autocomplete string // HTML autofill field names
	Hints        []string
	Error        string
	MinLength    int  // 0: no bound
	Focus        bool // receives the focus when the page opens
	Code         bool // a one-time code: digits, wide letters
	Letters      bool // a code of letters, such as BCDF-GHJK
	Dir          string
}

// DescribedBy lists the ids of the texts that explain the field, error first.
func (i input) DescribedBy() string {
	var ids []string
	if i.Error != "" {
		ids = append(ids, i.Name+"-error")
	}
	if len(i.Hints) > 0 {
		ids = append(ids, i.Name+"-hint")
	}
	return strings.Join(ids, " ")
}

// focusFirst gives the focus to the first field with an error, else to the first
// that is empty and required, so that a person can type at once.
func focusFirst(inputs ...input) []input {
	pick := -1
	for i, in := range inputs {
		if in.Error != "" {
			pick = i
			break
		}
		if pick < 0 && in.Value == "" && !in.Optional {
			pick = i
		}
	}
	if pick >= 0 {
		inputs[pick].Focus = true
	}
	return inputs
}

func emailInput(value, autocomplete, problem string) input {
	return input{
		Name: FieldEmail, Label: "Email", Type: "email", Value: value,
		Autocomplete: autocomplete, Error: problem, Dir: "ltr",
	}
}

func newPasswordInput(label string, rules []string, minLength int, problem string) input {
	return input{
		Name: FieldPassword, Label: label, Type: "password", Autocomplete: "new-password",
		Hints: rules, MinLength: minLength, Error: problem, Dir: "ltr",
	}
}
