/** What `--import` names in processes whose sources are patched; worker threads run it too. */
import { applyPatchesOfEnvironment } from './source-patches.ts';

applyPatchesOfEnvironment();
