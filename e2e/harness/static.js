// Serves a built single-page app from a port of its own, on localhost.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";

const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json" };

/** Starts the server, on a free port unless one is given. settings is what /settings.json answers; it may be set later. */
export async function serveStatic(folder, port = 0) {
  const site = { settings: {} };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    if (pathname === "/settings.json") {
      response.setHeader("content-type", types[".json"]);
      return response.end(JSON.stringify(site.settings));
    }
    const name = path.extname(pathname) ? path.normalize(pathname) : "/index.html";
    try {
      const text = await readFile(path.join(folder, name));
      response.setHeader("content-type", types[path.extname(name)] ?? "application/octet-stream");
      response.end(text);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "localhost", resolve));
  site.origin = `http://localhost:${server.address().port}`;
  site.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return site;
}
