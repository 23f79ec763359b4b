// A receiver: SECRET=… [SIGNATURE_HEADER=X-Flock-Signature] [PORT=3000] go run .
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	maxBodyBytes  = 2 << 20
	maxRemembered = 10_000
	tolerance     = 5 * time.Minute
)

// Handled remembers ids that have been handled. A real receiver keeps them where it keeps its work, in the same
// transaction.
type Handled struct {
	mutex sync.Mutex
	ids   map[string]bool
	order []string
}

// Once does the work unless it was done for this id.
func (handled *Handled) Once(id string, work func()) {
	handled.mutex.Lock()
	defer handled.mutex.Unlock()
	if id != "" && handled.ids[id] {
		return // a repeat: the first answer was lost on its way
	}
	work()
	if id == "" {
		return
	}
	handled.ids[id] = true
	handled.order = append(handled.order, id)
	if len(handled.order) > maxRemembered {
		delete(handled.ids, handled.order[0])
		handled.order = handled.order[1:]
	}
}

func receiver(secret, signatureHeader string) http.HandlerFunc {
	handled := &Handled{ids: map[string]bool{}}
	return func(response http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodPost {
			response.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, maxBodyBytes))
		if err != nil {
			response.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		var genuine bool
		if signatureHeader != "" {
			genuine = VerifySha256(secret, request.Header.Get(signatureHeader), body)
		} else {
			genuine = VerifyStandard(secret, request.Header, body, tolerance, time.Now())
		}
		if !genuine {
			response.WriteHeader(http.StatusUnauthorized)
			return
		}
		id := request.Header.Get("webhook-id")
		handled.Once(id, func() {
			fmt.Println("handled", id, len(body), "bytes") // your work stands here
		})
		response.WriteHeader(http.StatusNoContent)
	}
}

func main() {
	secret, port := os.Getenv("SECRET"), os.Getenv("PORT")
	if secret == "" {
		log.Fatal("Set SECRET to the secret of the endpoint")
	}
	if port == "" {
		port = "3000"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		Handler:           receiver(secret, os.Getenv("SIGNATURE_HEADER")),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
	}
	log.Fatal(server.Serve(listener))
}
