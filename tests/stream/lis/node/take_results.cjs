const { Server } = require('node-hl7-server');
const server = new Server({ bindAddress: '127.0.0.1' });
const inbound = server.createInbound({ port: Number(process.argv[2]) }, async (req, res) => {
  const m = req.getMessage();
  const get = (p) => { try { return m.get(p).toString(); } catch (e) { return 'ERR ' + e.message; } };
  console.log(JSON.stringify({ type: get('MSH.9'), id: get('MSH.10'), name: get('PID.5'), status: get('OBR.25'), obx: get('OBX.3') }));
  await res.sendResponse('AA');
});
inbound.on && inbound.on('listen', () => console.log('listening'));
