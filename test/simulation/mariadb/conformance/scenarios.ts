import type { Script, Step } from './script.ts';

const ITEM = 'CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), n INT)';
const PERSON = 'CREATE TABLE person (id INT PRIMARY KEY, email VARCHAR(20) COLLATE utf8mb4_bin, n INT, UNIQUE KEY email (email))';
const PARENT = 'CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(20))';
const CHILD = 'CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, FOREIGN KEY (parent_id) REFERENCES parent (id))';
const CASCADE =
  'CREATE TABLE leaf (id INT PRIMARY KEY, parent_id INT NOT NULL, FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE)';
const PAIR = 'CREATE TABLE pair (a VARCHAR(10) COLLATE utf8mb4_bin, b INT, v INT, PRIMARY KEY (a,b))';
const STRICT =
  "CREATE TABLE strict (id BIGINT PRIMARY KEY AUTO_INCREMENT, t TINYINT NOT NULL, u INT UNSIGNED, s VARCHAR(3) COLLATE utf8mb4_bin NOT NULL DEFAULT 'x', b VARBINARY(2), d DATETIME(3), f DOUBLE, w DECIMAL(20,0), e ENUM('on','off') NOT NULL, CHECK (u <= 100))";

const begin = (...sessions: number[]): Step[] => sessions.map((session) => [session, 'START TRANSACTION']);

const ITEMS: Step = [0, "INSERT INTO item (id,name,n) VALUES (1,'one',1),(2,'two',2),(3,'three',3)"];
const PEOPLE: Step = [0, "INSERT INTO person (id,email,n) VALUES (1,'a',1),(2,'c',2),(3,'e',3),(4,NULL,4)"];

/** What the sink relies on, one behaviour each. */
export const SCENARIOS: Readonly<Record<string, Script>> = {
  'a lock wait that times out undoes its statement, and the transaction goes on': {
    tables: [ITEM],
    steps: [
      ITEMS,
      [1, 'SET SESSION innodb_lock_wait_timeout=1'],
      ...begin(0, 1),
      [0, 'UPDATE item SET n=10 WHERE id=2'],
      [1, "INSERT INTO item (id,name) VALUES (4,'four')"],
      [1, 'UPDATE item SET n=11 WHERE id IN (1,2,3)'],
      'wait',
      [1, 'SELECT * FROM item WHERE id=1'],
      [0, 'COMMIT'],
      [1, 'COMMIT'],
    ],
  },
  'a deadlock undoes the whole transaction, and what follows commits by itself': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1),
      [0, "INSERT INTO item (id,name) VALUES (4,'four')"],
      [0, 'UPDATE item SET n=10 WHERE id=1'],
      [1, 'UPDATE item SET n=11 WHERE id=2'],
      [0, 'UPDATE item SET n=10 WHERE id=2'],
      [1, 'UPDATE item SET n=11 WHERE id=1'],
      [1, "INSERT INTO item (id,name) VALUES (5,'five')"],
      [1, 'ROLLBACK'],
    ],
  },
  'the one who closes the circle is undone where both are as heavy': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1),
      [0, 'SELECT * FROM item WHERE id=1 FOR UPDATE'],
      [1, 'SELECT * FROM item WHERE id=2 FOR UPDATE'],
      [0, 'SELECT * FROM item WHERE id=2 FOR UPDATE'],
      [1, 'SELECT * FROM item WHERE id=1 FOR UPDATE'],
    ],
  },
  'two shared locks that both want to write': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1),
      [0, 'SELECT * FROM item WHERE id=1 LOCK IN SHARE MODE'],
      [1, 'SELECT * FROM item WHERE id=1 LOCK IN SHARE MODE'],
      [0, 'UPDATE item SET n=10 WHERE id=1'],
      [1, 'UPDATE item SET n=11 WHERE id=1'],
    ],
  },
  'a shared lock waits behind a writer that waits': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1, 2),
      [0, 'SELECT * FROM item WHERE id=1 LOCK IN SHARE MODE'],
      [1, 'UPDATE item SET n=11 WHERE id=1'],
      [2, 'SELECT * FROM item WHERE id=1 LOCK IN SHARE MODE'],
      [0, 'COMMIT'],
      [1, 'COMMIT'],
    ],
  },
  'who holds a shared lock and wants to write meets who waits to write': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1),
      [0, 'SELECT * FROM item WHERE id=1 LOCK IN SHARE MODE'],
      [1, 'UPDATE item SET n=11 WHERE id=1'],
      [0, 'UPDATE item SET n=10 WHERE id=1'],
    ],
  },
  'an uncommitted insert keeps others from its key, and lets them when it is rolled back': {
    tables: [ITEM],
    steps: [
      ...begin(0, 1),
      [0, "INSERT INTO item (id,name) VALUES (1,'mine')"],
      [1, "INSERT INTO item (id,name) VALUES (1,'yours')"],
      [2, 'SELECT * FROM item WHERE id=1'],
      [0, 'ROLLBACK'],
      [1, 'COMMIT'],
    ],
  },
  'an uncommitted insert makes a duplicate when it commits': {
    tables: [ITEM],
    steps: [
      ...begin(0, 1),
      [0, "INSERT INTO item (id,name) VALUES (1,'mine')"],
      [1, "INSERT IGNORE INTO item (id,name) VALUES (1,'yours'),(2,'yours')"],
      [0, 'COMMIT'],
      [1, 'SELECT * FROM item WHERE id=1 FOR UPDATE'],
      [1, 'SHOW WARNINGS'],
    ],
  },
  'three who insert one key, and the first gives up': {
    tables: [ITEM],
    steps: [
      ...begin(0, 1, 2),
      [0, 'INSERT INTO item (id) VALUES (1)'],
      [1, 'INSERT INTO item (id) VALUES (1)'],
      [2, 'INSERT INTO item (id) VALUES (1)'],
      [0, 'ROLLBACK'],
    ],
  },
  'three who upsert one key, and the first gives up': {
    tables: [ITEM],
    steps: [
      ...begin(0, 1, 2),
      [0, 'INSERT INTO item (id,n) VALUES (1,0) ON DUPLICATE KEY UPDATE n=VALUES(n)'],
      [1, 'INSERT INTO item (id,n) VALUES (1,1) ON DUPLICATE KEY UPDATE n=VALUES(n)'],
      [2, 'INSERT INTO item (id,n) VALUES (1,2) ON DUPLICATE KEY UPDATE n=VALUES(n)'],
      [0, 'ROLLBACK'],
    ],
  },
  'two who insert a key that a third deletes': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1, 2),
      [0, 'DELETE FROM item WHERE id=1'],
      [1, 'INSERT INTO item (id) VALUES (1)'],
      [2, 'INSERT INTO item (id) VALUES (1)'],
      [0, 'COMMIT'],
    ],
  },
  'a key that is not there is not locked': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1),
      [0, 'SELECT * FROM item WHERE id=9 FOR UPDATE'],
      [0, 'UPDATE item SET n=0 WHERE id IN (7,8)'],
      [1, 'INSERT INTO item (id) VALUES (7),(9)'],
      [0, 'INSERT INTO item (id) VALUES (8)'],
    ],
  },
  'a row that a condition leaves out is unlocked again': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1),
      [0, 'SELECT * FROM item WHERE id=1 AND n=5 FOR UPDATE'],
      [0, 'UPDATE item SET n=0 WHERE id IN (2,3) AND n=2'],
      [1, 'UPDATE item SET n=9 WHERE id IN (1,3)'],
      [1, 'UPDATE item SET n=9 WHERE id=2'],
    ],
  },
  'an update that reads the table passes by rows that others hold and it does not want': {
    tables: [ITEM],
    steps: [
      ITEMS,
      ...begin(0, 1),
      [0, "UPDATE item SET name='held' WHERE id=1"],
      [1, 'UPDATE item SET n=0 WHERE n=3'],
      [1, 'UPDATE item SET n=5 WHERE n=1'],
      [0, 'COMMIT'],
    ],
  },
  'a delete of many keys may read the whole table, and wait for a row that it does not want': {
    tables: [ITEM],
    steps: [
      [0, `INSERT INTO item (id,n) VALUES ${Array.from({ length: 20 }, (_, i) => `(${i + 1},${i})`).join(',')}`],
      ...begin(0, 1),
      [0, 'UPDATE item SET n=0 WHERE id=10'],
      [1, `DELETE FROM item WHERE id IN (${Array.from({ length: 18 }, (_, i) => (i < 9 ? i + 1 : i + 2)).join(',')})`],
      [0, 'COMMIT'],
    ],
  },
  'upserts count 1 for a new row, 2 for a changed one, 1 for one that stays': {
    tables: [ITEM],
    steps: [
      ITEMS,
      [0, 'INSERT INTO item (id,n) VALUES (1,1) ON DUPLICATE KEY UPDATE n=VALUES(n)'],
      [0, 'INSERT INTO item (id,n) VALUES (1,5),(2,2),(9,9) ON DUPLICATE KEY UPDATE n=VALUES(n)'],
      [0, 'INSERT INTO item (id,n) VALUES (9,1),(9,2) ON DUPLICATE KEY UPDATE n=VALUES(n)'],
      [0, 'UPDATE item SET n=n WHERE id IN (1,2)'],
      [0, 'UPDATE item SET n=n+1,name=n WHERE id=2'],
    ],
  },
  'savepoints undo what came after them, can be set again, and keep what was locked': {
    tables: [ITEM],
    steps: [
      ITEMS,
      [0, 'SAVEPOINT s'],
      [0, 'ROLLBACK TO SAVEPOINT s'],
      ...begin(0, 1),
      [0, 'SAVEPOINT s'],
      [0, 'UPDATE item SET n=10 WHERE id=1'],
      [0, 'SAVEPOINT s'],
      [0, 'INSERT INTO item (id) VALUES (4)'],
      [0, 'UPDATE item SET n=20 WHERE id=2'],
      [0, 'ROLLBACK TO SAVEPOINT s'],
      [1, 'INSERT INTO item (id) VALUES (4)'],
      [1, 'UPDATE item SET n=21 WHERE id=2'],
      [0, 'ROLLBACK TO SAVEPOINT s'],
      [0, 'SAVEPOINT other'],
      [0, 'RELEASE SAVEPOINT s'],
      [0, 'ROLLBACK TO SAVEPOINT other'],
      [0, 'COMMIT'],
    ],
  },
  'START TRANSACTION commits what is open': {
    tables: [ITEM],
    steps: [...begin(0), ITEMS, ...begin(0), [0, 'DELETE FROM item WHERE id=1'], [0, 'ROLLBACK'], [0, 'COMMIT']],
  },
  'a statement of several rows fails as a whole': {
    tables: [ITEM, PERSON],
    steps: [
      ITEMS,
      PEOPLE,
      ...begin(0),
      [0, 'INSERT INTO item (id) VALUES (4),(5),(1)'],
      [0, "UPDATE person SET email='z' WHERE id IN (1,2,3)"],
      [0, "INSERT INTO person (id,email) VALUES (8,'h'),(9,'a')"],
      [0, 'SELECT * FROM person'],
      [0, 'COMMIT'],
    ],
  },
  'a value of a unique index is locked, with the gap before it': {
    tables: [PERSON],
    steps: [
      PEOPLE,
      ...begin(0, 1),
      [0, "INSERT INTO person (id,email) VALUES (9,'c')"],
      [1, "INSERT INTO person (id,email) VALUES (5,'d')"],
      [1, 'UPDATE person SET n=0 WHERE id=2'],
      [1, "INSERT INTO person (id,email) VALUES (6,'b')"],
      [0, 'COMMIT'],
    ],
  },
  'a unique value that moves away holds its old and its new place': {
    tables: [PERSON],
    steps: [
      PEOPLE,
      ...begin(0, 1, 2),
      [0, "UPDATE person SET email='d' WHERE id=2"],
      [1, "INSERT INTO person (id,email) VALUES (5,'c')"],
      [2, "INSERT INTO person (id,email) VALUES (6,'d')"],
      [0, 'COMMIT'],
    ],
  },
  'an upsert takes the row that has its unique value': {
    tables: [PERSON],
    steps: [
      PEOPLE,
      [0, "INSERT INTO person (id,email,n) VALUES (9,'a',9) ON DUPLICATE KEY UPDATE n=VALUES(n)"],
      [0, "INSERT INTO person (id,email,n) VALUES (2,'a',9) ON DUPLICATE KEY UPDATE email=VALUES(email)"],
      [0, 'INSERT INTO person (id,email) VALUES (5,NULL),(4,NULL)  ON DUPLICATE KEY UPDATE email=VALUES(email)'],
    ],
  },
  'rows are found and locked through a unique index': {
    tables: [PERSON],
    steps: [
      PEOPLE,
      ...begin(0, 1),
      [0, "UPDATE person FORCE INDEX (`email`) SET n=0 WHERE email IN ('e','a','x')"],
      [1, 'UPDATE person SET n=1 WHERE id=2'],
      [1, 'UPDATE person SET n=1 WHERE id=3'],
      [0, "UPDATE person FORCE INDEX (`email`) SET id=7 WHERE email='a'"],
      [0, 'COMMIT'],
    ],
  },
  'a child waits for its parent, and keeps it': {
    tables: [PARENT, CHILD],
    steps: [
      [0, "INSERT INTO parent (id,name) VALUES (1,'one'),(2,'two')"],
      [0, 'INSERT INTO child (id,parent_id) VALUES (1,9)'],
      ...begin(0, 1, 2),
      [0, 'INSERT INTO parent (id) VALUES (3)'],
      [1, 'INSERT INTO child (id,parent_id) VALUES (1,3)'],
      [0, 'COMMIT'],
      [2, 'DELETE FROM parent WHERE id=3'],
      [1, 'COMMIT'],
    ],
  },
  'a child whose parent is deleted meanwhile fails': {
    tables: [PARENT, CHILD],
    steps: [
      [0, "INSERT INTO parent (id,name) VALUES (1,'one'),(2,'two')"],
      ...begin(0, 1),
      [0, 'DELETE FROM parent WHERE id=1'],
      [1, 'INSERT INTO child (id,parent_id) VALUES (1,1)'],
      [0, 'COMMIT'],
      [1, 'INSERT INTO child (id,parent_id) VALUES (2,2),(3,NULL)'],
      [0, 'UPDATE parent SET id=8 WHERE id=2'],
      [1, 'COMMIT'],
      [0, 'DELETE FROM parent WHERE id=2'],
    ],
  },
  'children go with their parent where the foreign key says so': {
    tables: [PARENT, CASCADE],
    steps: [
      [0, "INSERT INTO parent (id,name) VALUES (1,'one'),(2,'two')"],
      [0, 'INSERT INTO leaf (id,parent_id) VALUES (1,1),(2,1),(3,2)'],
      ...begin(0, 1),
      [1, 'UPDATE leaf SET id=id WHERE id=2'],
      [0, 'DELETE FROM parent WHERE id=1'],
      [1, 'COMMIT'],
    ],
  },
  'keys of several columns, in lists and in parts': {
    tables: [PAIR],
    steps: [
      [0, "INSERT INTO pair VALUES ('x',1,1),('x',2,2),('y',1,3),('',1,4)"],
      [0, "INSERT INTO pair (a,b,v) VALUES ('x',1,5)"],
      [
        0,
        "UPDATE pair FORCE INDEX (`PRIMARY`) SET v=CASE WHEN `a`='x' AND `b`=2 THEN 7 WHEN a='y' AND b=1 THEN 8 END WHERE (a,b) IN (('y',1),('x',2))",
      ],
      [0, "UPDATE pair FORCE INDEX (`PRIMARY`) SET a=a WHERE (`a`,`b`) IN (('x',1),('z',1))"],
      ...begin(0, 1),
      [0, "DELETE FROM pair WHERE a='x'"],
      [1, "SELECT * FROM pair WHERE a='y' AND b=1 FOR UPDATE"],
      [1, "INSERT INTO pair VALUES ('x',3,0)"],
      [1, "DELETE FROM pair WHERE a='x' AND b=2"],
      [0, 'COMMIT'],
    ],
  },
  'values that a column does not take': {
    tables: [STRICT],
    steps: [
      [0, 'INSERT INTO strict (t) VALUES (1),(-128)'],
      [0, 'INSERT INTO strict (t) VALUES (128)'],
      [0, 'INSERT INTO strict (t) VALUES (NULL)'],
      [0, 'INSERT INTO strict (u) VALUES (1)'],
      [0, 'INSERT INTO strict (t,u) VALUES (1,-1)'],
      [0, 'INSERT INTO strict (t,u) VALUES (1,101)'],
      [0, "INSERT INTO strict (t,s) VALUES (1,'abcd')"],
      [0, "INSERT INTO strict (t,s) VALUES (1,'äöü')"],
      [0, "INSERT INTO strict (t,b) VALUES (1,x'010203')"],
      [0, "INSERT INTO strict (t,d) VALUES (1,'2026-02-30 00:00:00')"],
      [0, "INSERT INTO strict (t,d) VALUES (1,'2026-02-28 12:30:00.5')"],
      [0, 'INSERT INTO strict (t,f,w) VALUES (1,1.5e0,18446744073709551615)'],
      [0, "INSERT INTO strict (t) VALUES ('many')"],
      [0, "INSERT INTO strict (t) VALUES ('5 apples')"],
      [0, "INSERT INTO strict (t,e) VALUES (1,'neither')"],
      [0, "INSERT INTO strict (t,d) VALUES (2,'2026-02-28 12:30:00.56789'),(3,'2026-02-28'),(4,'2026-02-28T12:30:00')"],
      [0, "INSERT INTO strict (t,d) VALUES (5,'yesterday')"],
      [0, "INSERT INTO strict (t,u) VALUES ('7',2.5e0),('8',3.5e0),(9,-0.4e0)"],
      [0, 'INSERT INTO strict (t,f,w) VALUES (10,12,-99999999999999999999),(11,1e308,0)'],
      [0, 'INSERT INTO strict (t,w) VALUES (12,100000000000000000000)'],
      [0, "INSERT INTO strict (t,f) VALUES (13,'1.5'),(14,'-2e3')"],
      [0, "INSERT INTO strict (t,f) VALUES (15,'one')"],
      [0, "INSERT INTO strict (t,b,s) VALUES (16,'ab',x'c3a4')"],
      [0, "INSERT INTO strict (t,s) VALUES (17,x'ff')"],
      [0, 'INSERT INTO strict (t,s) VALUES (18,123)'],
      [0, "SELECT id FROM strict WHERE d='2026-02-28' OR d>='2026-02-28 12:30:00.6' OR s='ä'"],
      [0, 'SELECT t FROM strict WHERE f>1 AND f<=1.5'],
      [0, 'SELECT COUNT(*),COUNT(d),SUM(t),MAX(d),MAX(s) FROM strict'],
      [0, 'SELECT t DIV 3,t%3,t*2,-t,NOT t FROM strict WHERE t IN (5,7,8) ORDER BY t DESC'],
      [0, "SELECT t FROM strict WHERE e='on' AND NOT (t>2) ORDER BY t LIMIT 3"],
      [0, 'SELECT s,COUNT(*) FROM strict GROUP BY s HAVING COUNT(*)>1 ORDER BY COUNT(*)'],
      [0, "SELECT 1,2147483648,'x',1.5e0,NULL,x'00ff',TRUE"],
      [0, 'UPDATE strict SET s=NULL WHERE id=1'],
      [0, 'INSERT INTO strict (t,nothing) VALUES (1,1)'],
      [0, 'INSERT INTO strict (t) VALUES (1,2)'],
      [0, 'INSERT INTO nowhere (t) VALUES (1)'],
      [0, 'SELECT missing FROM strict'],
    ],
  },
};
