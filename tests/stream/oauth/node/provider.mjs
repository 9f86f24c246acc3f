// The package oidc-provider with its own pages of sign-in; a person's name is also their group.
import { pathToFileURL } from 'node:url';
const [, , index, port, page, secret] = process.argv;
const { default: Provider } = await import(pathToFileURL(index));
const issuer = `http://localhost:${port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'smears', client_secret: secret, redirect_uris: [`${page}/login/back`],
    post_logout_redirect_uris: [`${page}/login`],
  }],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} of the laboratory`, preferred_username: id, groups: [`${id}s`] }),
  }),
  pkce: { required: () => true },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
