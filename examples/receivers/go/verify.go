package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// VerifyStandard tells whether a delivery is genuine and fresh by Standard Webhooks (https://www.standardwebhooks.com).
// The headers webhook-id, webhook-timestamp and webhook-signature come in every wire profile. The secret is as Sealpost
// shows it: whsec_…, or any other text. The body is the bytes as they arrived, before anything parsed them.
func VerifyStandard(secret string, header http.Header, body []byte, tolerance time.Duration, now time.Time) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	signatures := header.Get("webhook-signature")
	if id == "" || timestamp == "" || signatures == "" {
		return false
	}
	// ParseUint takes neither a sign nor spaces; 12 digits are enough until the year 33658.
	seconds, err := strconv.ParseUint(timestamp, 10, 64)
	if err != nil || len(timestamp) > 12 {
		return false
	}
	age := now.Sub(time.Unix(int64(seconds), 0))
	if age > tolerance || age < -tolerance {
		return false
	}
	key, err := keyOf(secret)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	// While a secret is being rotated there are two signatures: one of each secret.
	for _, signature := range strings.Split(signatures, " ") {
		if hmac.Equal([]byte(signature), expected) {
			return true
		}
	}
	return false
}

// VerifySha256 tells whether a delivery is genuine by a header of the form sha256=<hex> over its body, as in
// X-Flock-Signature. It says nothing about when it was sent, so prefer VerifyStandard. The secret's text counts as it
// stands, whsec_ included.
func VerifySha256(secret, signature string, body []byte) bool {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal([]byte(signature), []byte("sha256="+hex.EncodeToString(mac.Sum(nil))))
}

func keyOf(secret string) ([]byte, error) {
	encoded := strings.TrimPrefix(secret, "whsec_")
	if encoded == secret {
		return []byte(secret), nil
	}
	return base64.StdEncoding.DecodeString(encoded)
}
