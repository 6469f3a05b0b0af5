/** What a profile says about itself, without building its graph. */
import type { ModelProfileSummary } from '../../open.js';

/** Name, description and published size of a parsed profile. */
export function summarizeProfile(document: unknown, name: string): ModelProfileSummary {
  const fields = document as { about?: string; parameters?: number; input?: object; config?: { model_type?: string } };
  const input = fields.config ? `tokens (${fields.config.model_type})` : JSON.stringify(fields.input ?? {}).replace(/["{}]/g, '');
  return { name, about: fields.about ?? '', parameters: fields.parameters ?? 0, input };
}
