"use strict";

// For reading: no operation can be called from here, and no token can be pasted anywhere.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#document",
  supportedSubmitMethods: [],
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  deepLinking: true,
  // Without its wrapper the "Authorize" button and every padlock that opens the same dialogue are gone.
  plugins: [() => ({ wrapComponents: { authorizeBtn: () => () => null, authorizeOperationBtn: () => () => null } })],
});
