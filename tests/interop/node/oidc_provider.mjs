// A certified OpenID Provider on loopback: strict rotation (a reused refresh token ends its grant), at+jwt access tokens.
// ISSUER may lie below a path and on another host name than the endpoints are asked by (PREFIX), as Entra's does.
import http from "node:http";
import { Provider } from "oidc-provider";

const { PORT, ISSUER, PREFIX = "", API, SECRET, BFF, CLIENT_JWKS, ACCESS_TOKEN_SECONDS = "60" } = process.env;
const seconds = Number(ACCESS_TOKEN_SECONDS);
const scopes = "ToDoList.Read ToDoList.ReadWrite";
const client = {
  redirect_uris: [`${BFF}/bff/callback`],
  post_logout_redirect_uris: [`${BFF}/bff/logged-out`],
  response_types: ["code"],
  grant_types: ["authorization_code", "refresh_token"],
  scope: `openid profile email offline_access ${scopes}`,
};
const resource = { scope: scopes, audience: API, accessTokenTTL: seconds, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } };

const provider = new Provider(ISSUER, {
  clients: [
    { ...client, client_id: "bff", client_secret: SECRET, token_endpoint_auth_method: "client_secret_basic" },
    ...(CLIENT_JWKS
      ? [{ ...client, client_id: "bff-key", token_endpoint_auth_method: "private_key_jwt", jwks: JSON.parse(CLIENT_JWKS) }]
      : []),
  ],
  scopes: ["openid", "offline_access", "profile", "email", ...scopes.split(" ")],
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email"] },
  async findAccount(_, id) {
    return { accountId: id, claims: async () => ({ sub: id, name: `Person ${id}`, preferred_username: id, email: `${id}@example.test` }) };
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  conformIdTokenClaims: false,
  issueRefreshToken: async (_, one, code) => one.grantTypeAllowed("refresh_token") && code.scopes.has("offline_access"),
  cookies: { keys: ["kept-for-the-length-of-one-test"] },
  ttl: { AccessToken: seconds, IdToken: 600, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => API,
      useGrantedResource: () => true,
      getResourceServerInfo: () => resource,
    },
  },
});
const serve = provider.callback();
let tokenCalls = 0;
http
  .createServer((request, response) => {
    if (request.url === "/counted") return response.end(String(tokenCalls));
    if (request.method === "POST" && request.url.endsWith("/token")) tokenCalls += 1;
    request.originalUrl = request.url;
    if (PREFIX && request.url.startsWith(PREFIX)) request.url = request.url.slice(PREFIX.length) || "/";
    serve(request, response);
  })
  .listen(Number(PORT), "127.0.0.1", () => console.log("READY"));
