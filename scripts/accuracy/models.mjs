/** Finds and reads the graphs that rows ask for. */
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Models {
  #folder = mkdtempSync(join(tmpdir(), 'batchfit-accuracy-'));
  #known = new Map();

  constructor(product, graphFolders) {
    this.product = product;
    this.graphFolders = graphFolders;
  }

  /** A graph for { reference | config | graph, options }; throws where there is none. Only the last one is kept. */
  async read(model) {
    const key = JSON.stringify(model);
    if (!this.#known.has(key)) {
      this.#known.clear();
      this.#known.set(key, await this.#open(model));
    }
    return this.#known.get(key);
  }

  async #open({ reference, config, graph, options = {} }) {
    const { readModel } = this.product;
    if (config) return readModel(this.#write('config.json', config), options);
    if (graph) return readModel(this.#write('model.graph.json', graph), options);
    const exported = this.#exported(reference);
    if (exported) return readModel(exported, options);
    return readModel(reference, options).catch((error) => {
      // Which model it is does not matter for a count of what is missing.
      throw error.code === 'NEEDS_EXPORT' || error.code === 'UNKNOWN_MODEL' ? new Error('no graph of this model is at hand') : error;
    });
  }

  #exported(reference) {
    const name = reference.replace(/^\w+:/, '');
    return this.graphFolders.map((folder) => join(folder, `${name}.graph.json`)).find((file) => existsSync(file));
  }

  #write(name, document) {
    const file = join(this.#folder, name);
    writeFileSync(file, JSON.stringify(document));
    return file;
  }
}
