package runtime

import (
	_ "embed"
	"sync"
)

//go:embed web.js
var web string

var webCode = sync.OnceValues(func() ([]byte, error) { return compileScript(web) })
