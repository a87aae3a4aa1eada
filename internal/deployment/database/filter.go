package database

import (
	"encoding/json"
	"strings"

	"github.com/berthdev/berth/internal/deployment/value"
)

// expression is a filter: an operator over operands, a field or a literal.
type expression struct {
	op      string // $eq, …; "" for a literal
	of      []*expression
	field   path
	literal any
}

// operands is how many an operator takes; -1 is any number.
var operands = map[string]int{"$eq": 2, "$neq": 2, "$lt": 2, "$lte": 2, "$gt": 2, "$gte": 2, "$add": 2, "$sub": 2, "$mul": 2, "$div": 2, "$mod": 2,
	"$neg": 1, "$not": 1, "$and": -1, "$or": -1}

func parseExpression(data []byte, depth int) (*expression, error) {
	if depth > value.MaxDepth {
		return nil, badQuery("The filter is nested too deeply.")
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil || len(raw) != 1 {
		return nil, badQuery("A filter is an object with one operator.")
	}
	for op, arg := range raw {
		switch op {
		case "$literal":
			v, err := value.ParsePatch(arg)
			return &expression{literal: v}, err
		case "$field":
			var name string
			if err := json.Unmarshal(arg, &name); err != nil {
				return nil, badQuery("$field names no field.")
			}
			return &expression{op: op, field: strings.Split(name, ".")}, nil
		}
		want, known := operands[op]
		if !known {
			return nil, badQuery("Unknown filter operator %q.", op)
		}
		list := []json.RawMessage{arg}
		if want != 1 {
			if err := json.Unmarshal(arg, &list); err != nil {
				return nil, badQuery("%s takes a list of operands.", op)
			}
		}
		if want > 0 && len(list) != want {
			return nil, badQuery("%s takes %d operands.", op, want)
		}
		e := &expression{op: op}
		for _, one := range list {
			operand, err := parseExpression(one, depth+1)
			if err != nil {
				return nil, err
			}
			e.of = append(e.of, operand)
		}
		return e, nil
	}
	return nil, badQuery("A filter is an object with one operator.")
}

// truthy is the Boolean of a filter's result: false, null, undefined and zero are not.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil, value.Undefined:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case int64:
		return v != 0
	}
	return true
}

func (e *expression) eval(doc value.Object) (any, error) {
	switch e.op {
	case "":
		return e.literal, nil
	case "$field":
		return e.field.of(doc), nil
	case "$and", "$or":
		for _, operand := range e.of {
			v, err := operand.eval(doc)
			if err != nil {
				return nil, err
			}
			if truthy(v) == (e.op == "$or") {
				return e.op == "$or", nil
			}
		}
		return e.op == "$and", nil
	}
	args := make([]any, len(e.of))
	for i, operand := range e.of {
		var err error
		if args[i], err = operand.eval(doc); err != nil {
			return nil, err
		}
	}
	if e.op == "$not" {
		return !truthy(args[0]), nil
	}
	if e.op == "$neg" {
		return arithmetic("$sub", zeroLike(args[0]), args[0])
	}
	order := 0
	switch e.op {
	case "$add", "$sub", "$mul", "$div", "$mod":
		return arithmetic(e.op, args[0], args[1])
	default:
		order = value.Compare(args[0], args[1])
	}
	switch e.op {
	case "$eq":
		return order == 0, nil
	case "$neq":
		return order != 0, nil
	case "$lt":
		return order < 0, nil
	case "$lte":
		return order <= 0, nil
	case "$gt":
		return order > 0, nil
	}
	return order >= 0, nil // $gte
}
