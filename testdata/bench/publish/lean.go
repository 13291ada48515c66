package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

// lean does of Google Cloud Storage what a first publication and a copy to an empty bucket ask of it, with as little work as
// that takes. It tells how much of a time is the fake's, which spends most of a processor on a thousand objects.
type lean struct {
	mu      sync.Mutex
	objects map[string]*leanObject // guarded by mu
	last    int64                  // guarded by mu; generation
}

type leanObject struct {
	data []byte
	meta map[string]any // as the JSON API tells it
}

// newLean starts one.
func newLean(front buckettest.Front) *buckettest.Store {
	server := httptest.NewServer(front(&lean{objects: map[string]*leanObject{}}))
	return buckettest.At("gs", server.URL, func() {
		server.CloseClientConnections()
		server.Close()
	})
}

func (l *lean) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	switch {
	case r.Method == http.MethodPost && strings.HasPrefix(path, "/upload/"):
		l.upload(w, r)
	case r.Method == http.MethodGet && strings.HasSuffix(path, "/o"):
		answer(w, http.StatusOK, map[string]any{"kind": "storage#objects"})
	case r.Method == http.MethodGet:
		_, name, api := strings.Cut(path, "/o/")
		if !api {
			_, name, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		}
		name, _ = url.PathUnescape(name)
		l.mu.Lock()
		o := l.objects[name]
		l.mu.Unlock()
		switch {
		case o == nil && api:
			answer(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": 404, "message": "No such object: " + name}})
		case o == nil:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
		case api:
			answer(w, http.StatusOK, o.meta)
		default:
			w.Header().Set("X-Goog-Generation", o.meta["generation"].(string))
			w.Write(o.data)
		}
	default:
		answer(w, http.StatusNotImplemented, map[string]any{"error": map[string]any{"code": 501, "message": r.Method + " " + path}})
	}
}

// upload takes an object whose properties and bytes come in one request.
func (l *lean) upload(w http.ResponseWriter, r *http.Request) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	meta := map[string]any{}
	var data bytes.Buffer
	if err == nil {
		parts := multipart.NewReader(r.Body, params["boundary"])
		for i := 0; err == nil; i++ {
			var part *multipart.Part
			if part, err = parts.NextPart(); err == nil && i == 0 {
				err = json.NewDecoder(part).Decode(&meta)
			} else if err == nil {
				_, err = io.Copy(&data, part)
			}
		}
	}
	if err != io.EOF {
		answer(w, http.StatusBadRequest, map[string]any{"error": map[string]any{"code": 400, "message": fmt.Sprint(err)}})
		return
	}
	name, _ := meta["name"].(string)
	if q := r.URL.Query().Get("name"); q != "" {
		name = q
	}
	sum := md5.Sum(data.Bytes())
	meta["name"], meta["bucket"], meta["size"] = name, "bucket-in-test", strconv.Itoa(data.Len())
	meta["md5Hash"] = base64.StdEncoding.EncodeToString(sum[:])
	meta["crc32c"] = base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data.Bytes(), crc32.MakeTable(crc32.Castagnoli))))
	meta["updated"], meta["timeCreated"] = "2025-06-01T00:00:00Z", "2025-06-01T00:00:00Z"
	l.mu.Lock()
	defer l.mu.Unlock()
	there := "0"
	if o := l.objects[name]; o != nil {
		there = o.meta["generation"].(string)
	}
	if want := r.URL.Query().Get("ifGenerationMatch"); want != "" && want != there {
		answer(w, http.StatusPreconditionFailed, map[string]any{"error": map[string]any{"code": 412, "message": "conditionNotMet"}})
		return
	}
	l.last++
	meta["generation"] = strconv.FormatInt(l.last, 10)
	l.objects[name] = &leanObject{data.Bytes(), meta}
	answer(w, http.StatusOK, meta)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
