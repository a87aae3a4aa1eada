package host

// Channel names a way by which values made during a build reach code.
type Channel string

// The channels. Only BuildCommand carries values today; the others say what
// the platform offers.
const (
	BuildCommand   Channel = "build-command"          // environment of the build command
	FunctionConfig Channel = "vercel-function-config" // environment map of each function in the build output
	ServerModule   Channel = "server-module"          // a generated module that server entries import first
	DeployEnv      Channel = "netlify-deploy-env"     // variables that a build plugin attaches to the deploy
	SecretsFile    Channel = "wrangler-secrets-file"  // wrangler preview --secrets-file
	DeployOption   Channel = "deploy-option"          // per-deployment option of the deploy tool in a later step
	ServiceEnv     Channel = "service-variables"      // variables that the platform keeps, set by a person
	LocalFile      Channel = ".env.local"             // read by the dev server
	NoChannel      Channel = "none"                   // nothing per branch
)

// Names of frameworks that [HandOverFor] tells apart. Others count as server
// frameworks that read process.env when they run.
const (
	FrameworkNext          = "next"
	FrameworkVite          = "vite" // browser only
	FrameworkTanStackStart = "tanstack-start"
	FrameworkSvelteKit     = "sveltekit"
	FrameworkReactRouter   = "react-router"
	FrameworkExpo          = "expo" // browser or device only
)

// HandOver is the truth about how values get from this build to the app.
type HandOver struct {
	Now      []Channel `json:"now"`              // what Berth uses: where the values do arrive
	RunTime  Channel   `json:"run_time"`         // what the platform has for server code at run time
	Complete bool      `json:"complete"`         // the app needs nothing beyond Now
	Sentence string    `json:"sentence"`         // for the reader
	Advice   string    `json:"advice,omitempty"` // what a person can do until then
}

// HandOverFor says what the values of this build reach on platform h for an app made
// with framework.
func HandOverFor(h Host, framework string) HandOver {
	ho := HandOver{Now: []Channel{BuildCommand}}
	if h == None {
		ho.Now, ho.RunTime, ho.Complete = []Channel{LocalFile}, LocalFile, true
		ho.Sentence = "On this machine .env.local carries the values; the dev server reads it."
		return ho
	}
	if framework == FrameworkVite || framework == FrameworkExpo {
		ho.RunTime, ho.Complete = NoChannel, true
		ho.Sentence = "The client ID and the redirect URI are compiled into the app by its build; it has no server code and gets no secret."
		return ho
	}
	const shared = "Until then set WORKOS_CLIENT_ID, WORKOS_API_KEY and WORKOS_COOKIE_PASSWORD of a shared preview environment "
	switch h {
	case Vercel:
		ho.RunTime = FunctionConfig
		what := "Vercel takes run-time values from the function configuration in the build output"
		if framework == FrameworkReactRouter {
			ho.RunTime = ServerModule
			what = "Vercel packs the functions of React Router after the build command, so only a generated server module could carry run-time values"
		}
		ho.Sentence = "The build command gets the values, server code at run time does not yet: " + what + ", which Berth does not write yet."
		ho.Advice = shared + "once in the project's Preview environment. Every preview then shares that environment and its users, because Berth takes credentials that are set."
	case Netlify:
		ho.RunTime = DeployEnv
		ho.Sentence = "The build command gets the values, functions and edge functions do not yet: on Netlify only a build plugin can attach variables to the deploy being built, and Berth has none yet."
		ho.Advice = shared + "for the context Deploy Previews, with the scope Functions."
	case CloudflareWorkers:
		ho.RunTime = SecretsFile
		ho.Sentence = "The build command gets the values, the Worker does not yet: build variables never reach it, and Berth does not write the secrets file of wrangler preview yet."
		ho.Advice = "Until then pass the values with wrangler preview --secrets-file in the deploy command."
	case CloudflarePages:
		ho.RunTime = NoChannel
		ho.Sentence = "The build command gets the values, Pages Functions do not: Cloudflare Pages has one set of variables for all previews and no way to give one branch its own."
		ho.Advice = "Set a shared preview environment in the project's Preview variables, or move to Workers."
	case GitHubActions, CI:
		ho.RunTime = DeployOption
		ho.Sentence = "The build command gets the values; what it deploys to does not get them from " + h.Title() + " by itself."
		ho.Advice = "Run the deploy tool inside berth deploy and pass them on, as with vercel deploy -e, netlify deploy --secret-env or wrangler preview --secrets-file."
	case Fly:
		ho.RunTime = ServiceEnv
		ho.Sentence = "The build command gets the values, the machines do not: Fly gives them the secrets of the app, which Berth does not set yet."
		ho.Advice = "Run fly secrets set --stage with the values inside berth deploy, before the deploy."
	default:
		ho.RunTime = ServiceEnv
		ho.Sentence = "The build command gets the values, the running service does not: " + h.Title() + " gives it the variables of the service, which Berth does not set yet."
		ho.Advice = shared + "on the service."
	}
	if framework == FrameworkSvelteKit {
		ho.Sentence += " What the app reads through $env/static/private is compiled in by the build and does arrive."
	}
	return ho
}
