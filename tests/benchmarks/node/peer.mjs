// A usual Node backend-for-frontend, small: Express and express-session, and axios or http-proxy-middleware behind them.
// node peer.mjs '{"mode": "axios" | "proxy", "port", "upstream", "authorize", "token", "clientId", "clientSecret", "scope"}'
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import axios from "axios";
import express from "express";
import session from "express-session";
import { createProxyMiddleware } from "http-proxy-middleware";

const given = JSON.parse(process.argv[2]);
const redirectUri = `http://127.0.0.1:${given.port}/callback`;
const app = express();
app.use(session({ secret: randomBytes(32).toString("hex"), resave: false, saveUninitialized: false }));

app.get("/login", (request, response) => {
  const verifier = randomBytes(32).toString("base64url");
  const state = randomBytes(16).toString("base64url");
  request.session.login = { verifier, state };
  const url = new URL(given.authorize);
  url.search = new URLSearchParams({
    client_id: given.clientId, redirect_uri: redirectUri, response_type: "code", scope: given.scope, state,
    nonce: randomBytes(16).toString("base64url"), code_challenge_method: "S256",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
  });
  response.redirect(url.href);
});

app.get("/callback", async (request, response) => {
  const { verifier, state } = request.session.login ?? {};
  if (!state || request.query.state !== state) return response.sendStatus(400);
  const { data } = await axios.post(given.token, new URLSearchParams({
    grant_type: "authorization_code", code: request.query.code, redirect_uri: redirectUri, code_verifier: verifier,
  }), { auth: { username: given.clientId, password: given.clientSecret } });
  request.session.accessToken = data.access_token;
  request.session.login = undefined;
  response.sendStatus(204);
});

const signedIn = (request, response, next) => (request.session.accessToken ? next() : response.sendStatus(401));

if (given.mode === "axios") {
  app.get("/api/{*path}", signedIn, async (request, response) => {
    const { data } = await axios.get(given.upstream + request.originalUrl, {
      headers: { Authorization: `Bearer ${request.session.accessToken}` },
    });
    response.json(data);
  });
} else {
  app.use("/api", signedIn, createProxyMiddleware({
    target: `${given.upstream}/api`,
    agent: new http.Agent({ keepAlive: true }),
    on: { proxyReq: (proxied, request) => {
      proxied.removeHeader("cookie");
      proxied.setHeader("Authorization", `Bearer ${request.session.accessToken}`);
    } },
  }));
}
app.listen(given.port, "127.0.0.1");
