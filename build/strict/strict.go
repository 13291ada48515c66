package strict

import "errors"

// Decode reads the one YAML document in data into v, a pointer to a struct. file names data in errors.
func Decode(file string, data []byte, v any) error { return errors.New("not written yet") }
