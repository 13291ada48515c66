package yum

import (
	"fmt"
	"strings"

	"sigs.k8s.io/pkgs/repo/refusal"
)

// A rich dependency combines others (rpm's manual, "Boolean Dependencies"):
//
//	rich    = "(" operand { operator operand } ")"
//	operand = rich | name [ comparison version ]
//
// with the operators and, or, with, without, if, unless and else, where else follows only if and unless. Only one kind of
// operator stands in one pair of parentheses.
type richScanner struct {
	rest  string
	depth int
}

const maxRichDepth = 32

// checkRich tells whether text is a rich dependency. What it is about, the names, may be anything without white space;
// parentheses within a name are balanced.
func checkRich(text string) error {
	s := richScanner{rest: text}
	if !s.rich() || s.rest != "" {
		return fmt.Errorf("%q is not a rich dependency", refusal.Shorten(text))
	}
	return nil
}

func (s *richScanner) rich() bool {
	if !s.take("(") || s.depth == maxRichDepth {
		return false
	}
	s.depth++
	defer func() { s.depth-- }()
	first := ""
	for n := 0; ; n++ {
		s.space()
		if !s.operand() {
			return false
		}
		s.space()
		if s.take(")") {
			return true
		}
		op := s.word()
		s.rest = strings.TrimPrefix(s.rest, op)
		switch op {
		case "and", "or", "with":
			if n > 0 && op != first {
				return false
			}
		case "without", "if", "unless":
			if n > 0 {
				return false
			}
		case "else":
			if n != 1 || first != "if" && first != "unless" {
				return false
			}
		default:
			return false
		}
		if n == 0 {
			first = op
		}
	}
}

func (s *richScanner) operand() bool {
	if strings.HasPrefix(s.rest, "(") {
		return s.rich()
	}
	name := s.word()
	if name == "" || strings.ContainsAny(name[:1], "<=>") {
		return false
	}
	s.rest = s.rest[len(name):]
	s.space()
	switch op := s.word(); op {
	case "<", "<=", "=", "==", ">=", ">":
		s.rest = s.rest[len(op):]
		s.space()
		version := s.word()
		s.rest = s.rest[len(version):]
		_, err := parseEVR(version)
		return err == nil
	}
	return true
}

// word is what comes next, up to white space or a parenthesis that closes what was opened before it.
func (s *richScanner) word() string {
	open := 0
	for i, c := range s.rest {
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == ')' && open == 0:
			return s.rest[:i]
		case c == '(':
			open++
		case c == ')':
			open--
		}
	}
	return s.rest
}

func (s *richScanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

func (s *richScanner) take(prefix string) bool {
	rest, ok := strings.CutPrefix(s.rest, prefix)
	s.rest = rest
	return ok
}
