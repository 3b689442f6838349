/** The product has it for `syncline chaos`; tests know it by this name. */
export { SeededRandom } from '../../src/chaos/seeded-random.ts';
