-- Both functions hold at every level or at none, in one round trip, and record the hold.
-- Room in each page lets an update stay there.
CREATE TABLE counters (id int PRIMARY KEY, remaining bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE holds (request text PRIMARY KEY, amount bigint NOT NULL);

-- Locks the chain first, in a fixed order, and then decides.
CREATE FUNCTION hold_locked(chain int[], request text, asked bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    least bigint;
BEGIN
    SELECT min(locked.remaining) INTO least FROM (
        SELECT remaining FROM counters WHERE id = ANY (chain) ORDER BY id FOR UPDATE
    ) AS locked;
    IF least < asked THEN
        RETURN false;
    END IF;
    UPDATE counters SET remaining = remaining - asked WHERE id = ANY (chain);
    INSERT INTO holds VALUES (request, asked);
    RETURN true;
END $$;

-- Updates one counter after another, from the leaf to the root, so that the counter that all share
-- is locked last. One that is short undoes the others.
CREATE FUNCTION hold_atomic(chain int[], request text, asked bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    level int;
BEGIN
    FOREACH level IN ARRAY chain LOOP
        UPDATE counters SET remaining = remaining - asked
            WHERE id = level AND remaining >= asked;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'counter % is short', level USING ERRCODE = 'TK001';
        END IF;
    END LOOP;
    INSERT INTO holds VALUES (request, asked);
    RETURN true;
END $$;
