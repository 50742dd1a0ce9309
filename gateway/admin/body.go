package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// maxBody is the cap of a request's body in bytes: the largest argument that
// an operator sends by hand.
const maxBody = 4 << 20

// read returns the body, nil if it is empty.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := &Error{Code: CodeTooLarge, Detail: "the body is larger than 4 MiB"}
	body := http.MaxBytesReader(w, r.Body, maxBody) // it closes the connection of a larger one
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close")
		return nil, tooLarge
	}
	raw, err := io.ReadAll(body)
	if big := new(http.MaxBytesError); errors.As(err, &big) {
		return nil, tooLarge
	} else if err != nil {
		return nil, &Error{Code: CodeBadRequest, Detail: "the body could not be read"}
	}
	said := r.Header.Get("Content-Type")
	if len(raw) == 0 && said == "" {
		return nil, nil
	}
	// A page may send text/plain anywhere without asking first, JSON not.
	if t, _, err := mime.ParseMediaType(said); err != nil || t != "application/json" {
		return nil, &Error{Code: CodeBadMediaType, Detail: "the body must be application/json", Mend: "send Content-Type: application/json"}
	}
	return raw, nil
}

// decode reads the body into v, strictly; an empty one leaves v as it is. shape
// is what the route takes.
func decode(w http.ResponseWriter, r *http.Request, v any, shape string) error {
	raw, err := read(w, r)
	if err != nil || len(bytes.TrimSpace(raw)) == 0 {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err = d.Decode(v); err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is more after it")
		}
	}
	if err != nil {
		return &Error{Code: CodeBadRequest, Detail: "the body is no JSON object of the right shape: " + clip(err.Error()), Mend: "send " + shape}
	}
	return nil
}

// yes reads a boolean of the query, false if it is not there.
func yes(r *http.Request, key string) (bool, error) {
	v := r.URL.Query().Get(key)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, badParameter(key, v, "true or false")
	}
	return b, nil
}

// whole reads a number of the query that is at most most, otherwise if it is not
// there.
func whole(r *http.Request, key string, otherwise, most uint64) (uint64, error) {
	v := r.URL.Query().Get(key)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n > most {
		return 0, badParameter(key, v, "a number from 0 to "+strconv.FormatUint(most, 10))
	}
	return n, nil
}

// span reads a duration of the query, such as 300s, or a number of seconds.
func span(r *http.Request, key string, otherwise time.Duration) (time.Duration, error) {
	v := r.URL.Query().Get(key)
	if v == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(v)
	if s, bare := strconv.ParseFloat(v, 64); err != nil && bare == nil && s < 1e9 {
		d, err = time.Duration(s*float64(time.Second)), nil
	}
	if err != nil || d <= 0 {
		return 0, badParameter(key, v, "a duration such as 300s")
	}
	return d, nil
}

func badParameter(key, value, want string) error {
	return &Error{Code: CodeBadRequest, Detail: key + "=" + strconv.Quote(clip(value)) + " is not " + want}
}

// clip bounds what is echoed.
func clip(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}
