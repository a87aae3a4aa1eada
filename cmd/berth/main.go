// Command berth gives every deployment of an app its own sign-in.
package main

import (
	"os"

	"github.com/berthdev/berth/internal/cli"
)

// version is set by the linker, see Makefile.
var version = "dev"

func main() { os.Exit(cli.Main(version)) }
