// The exchange of the TCP tutorials: connect, write, print what comes, end.
// usage: node node_client.js HOST PORT
'use strict';

const net = require('node:net');

const [host, port] = process.argv.slice(2);
const client = net.connect({ host, port: Number(port) }, () => {
  console.error(`from ${client.localAddress}:${client.localPort}`);
  client.write('Hello TCP world!\r\n');
});
client.on('data', (data) => {
  console.log(data.toString());
  client.end();
});
client.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
