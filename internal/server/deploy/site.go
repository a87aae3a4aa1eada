package deploy

import (
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/server/route"
)

// site serves the HTTP actions of a deployment. All of its paths are the
// app's, and so are its CORS headers. A token that is not accepted does not
// refuse the request: asking for the identity throws.
func (s *Surface) site() http.Handler {
	surface := route.Surface{Log: s.Log, Answer: answerConvex}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.httpAction(w, r); err != nil {
			surface.Fail(w, r, err)
		}
	})
}

func (s *Surface) httpAction(w http.ResponseWriter, r *http.Request) error {
	i, release, err := s.open(r)
	if err != nil {
		return err
	}
	defer release()
	caller, refusal := s.caller(r, i)
	if refusal != nil {
		refusal.Message = refusal.Text(i.Redacts())
		caller = instance.Caller{Refused: refusal}
	}
	caller.Name = "HttpEndpoint"
	data, err := body(w, r, maxHTTP)
	if err != nil {
		return err
	}
	_, origin := i.URLs()
	request := instance.HTTPRequest{Method: r.Method, URL: origin + r.URL.RequestURI(), Body: data, Header: [][2]string{{"host", r.Host}}}
	for name, values := range r.Header {
		for _, v := range values {
			request.Header = append(request.Header, [2]string{name, v})
		}
	}
	answer, failure, err := i.HTTP(r.Context(), caller, r.URL.Path, request)
	if err != nil {
		return err
	}
	if failure != nil {
		return route.JSON(w, http.StatusInternalServerError, failedAction(failure))
	}
	for _, h := range answer.Header {
		if name := http.CanonicalHeaderKey(h[0]); !connectionHeaders[name] {
			w.Header().Add(name, h[1])
		}
	}
	w.WriteHeader(answer.Status)
	_, err = w.Write(answer.Body)
	if err != nil {
		s.Log.DebugContext(r.Context(), "an answer was not sent", "err", err) // the client is gone
	}
	return nil
}

// connectionHeaders belong to the connection, which the server keeps.
var connectionHeaders = map[string]bool{"Connection": true, "Content-Length": true, "Keep-Alive": true, "Transfer-Encoding": true, "Upgrade": true, "Trailer": true, "Te": true}

// failedAction is the body for an action that threw.
func failedAction(f *instance.Failure) map[string]string {
	code, trace, full := strings.Cut(f.Message, "\n")
	if !full {
		return map[string]string{"code": code}
	}
	return map[string]string{"code": code, "trace": trace}
}
