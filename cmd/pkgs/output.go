package main

import (
	"encoding/json"
	"errors"
	"io"
)

// output is standard output. What could not be written is an error of the program, wherever it was printed.
type output struct {
	w   io.Writer
	err error // the first
}

func (o *output) Write(data []byte) (int, error) {
	n, err := o.w.Write(data)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// printJSON prints a value for a machine.
func (p *program) printJSON(v any) error {
	return writeJSON(p.stdout, v)
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	// People read it, too, and addresses of mail have angle brackets.
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// results is what became of streams that are worked on one after the other, where one that fails does not keep the others
// back. What people are told is printed as it comes; results are what machines get of it, in one piece at the end.
type results[T any] struct {
	all      []*T
	problems []error
}

// one is the result of a command that works on one stream.
func one[T any](result *T, err error) *results[T] {
	r := &results[T]{}
	r.add(result, err)
	return r
}

// add adds what became of a stream, which is nil if there is nothing to tell, and what went wrong.
func (r *results[T]) add(result *T, err error) {
	if result != nil {
		r.all = append(r.all, result)
	}
	r.problems = append(r.problems, err)
}

// print prints the one result that there is, if there is, and returns what went wrong.
func (r *results[T]) print(p *program) error {
	if p.output == "json" && len(r.all) > 0 {
		r.problems = append(r.problems, p.printJSON(r.all[0]))
	}
	return errors.Join(r.problems...)
}

// printList prints the results as a list and returns what went wrong.
func (r *results[T]) printList(p *program) error {
	if p.output == "json" {
		r.problems = append(r.problems, p.printJSON(append([]*T{}, r.all...)))
	}
	return errors.Join(r.problems...)
}
