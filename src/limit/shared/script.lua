-- One call of one replica: what it gives back, what it owes, and what its waiting requests need, for
-- many counters at once. A request needs room in all of its counters, or takes nothing. Everything is
-- in this one script because a store runs a script as a whole: nobody sees half of it.
--
-- KEYS  1 the replicas, 2 what is recalled, then the counters
-- ARGV  replica, number of the call, the last that was answered, generation proposed, count of counters,
--       count of requests;
--       per counter: kind, limit, length or end, spare, held, owed, wanted, seed, floor, lost call,
--       count of what comes back, then slot and units of each;
--       per request: count of needs, then counter and units of each.
-- Reply now, replicas, the last call that is known of this replica (-1: none), generation,
--       count of recalled keys, those keys; per counter: used (-1: nobody knows), granted beyond the
--       requests, slot; per request: 0, or the counter (from 1), wait, whether others may give back.
--
-- A counter is a hash. `u` is what is used, `p:<replica>` what that replica was last seen with:
-- call, granted in it, unspent, until when, places held, slot of the grant. A window has slots by
-- number, the first of them (`t`), the latest (`l`), and what is to be paid (`d`). A total has what was
-- used when its generation (`g`) began (`b`). A generation is how replicas see that data was lost: a
-- store that has forgotten, or has gone back in time, gets another one.

local DEAD_MS, RECALL_MS, YOUNG_MS, DEBT_MS = 10000, 1000, 1000, 600000
local call, floor, min, max = redis.call, math.floor, math.min, math.max

local at = 0
local function text()
  at = at + 1
  return ARGV[at]
end
local function number()
  at = at + 1
  return tonumber(ARGV[at])
end
local function digits(n)
  return string.format('%.0f', n)
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
local me, seq, answered, proposed = text(), number(), number(), text()
local counters, requests = number(), number()

-- Who is there. A replica that was not heard of for a while is forgotten, with the places it held.
local alive, replicas, last_seq, generation, born = {}, 1, -1, nil, now
local flat = call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local name, value = flat[i], flat[i + 1]
  if name == '.generation' then
    generation = value
  elseif name == '.born' then
    born = tonumber(value)
  else
    local seen, last = string.match(value, '^(%d+) (%d+)$')
    if name == me then
      last_seq = tonumber(last)
    elseif now - tonumber(seen) > DEAD_MS then
      call('HDEL', KEYS[1], name)
    else
      alive[name] = true
      replicas = replicas + 1
    end
  end
end
-- A call that was given up and arrives behind a later one changes nothing.
if seq <= last_seq then
  return { now, replicas, last_seq, generation or '', -1 }
end
local forgotten = generation and last_seq < 0
if not generation or (last_seq >= 0 and last_seq < answered) then
  generation, born = proposed, now
  call('HSET', KEYS[1], '.generation', generation, '.born', digits(born))
end
call('HSET', KEYS[1], me, digits(now) .. ' ' .. digits(seq))
call('PEXPIRE', KEYS[1], 86400000)

local recalled, recall_list = {}, {}
flat = call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do
  local age = now - tonumber(flat[i + 1])
  if age > RECALL_MS or age < 0 then
    call('HDEL', KEYS[2], flat[i])
  else
    recalled[flat[i]] = true
    recall_list[#recall_list + 1] = flat[i]
  end
end

local function seen_with(value)
  local s, granted, spare, till, held, slot =
    string.match(value or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  return tonumber(s or 0), tonumber(granted or 0), tonumber(spare or 0), tonumber(till or 0),
    tonumber(held or 0), tonumber(slot or 0)
end

-- The value of a slot, read at most once.
local function slot_value(c, slot)
  local known = c.slots[slot]
  if not known then
    known = tonumber(call('HGET', c.key, digits(slot)) or 0)
    c.slots[slot] = known
  end
  return known
end
local function set_slot(c, slot, value)
  c.slots[slot] = value
  c.changed[slot] = true
end
local function charge(c, slot, units)
  set_slot(c, slot, slot_value(c, slot) + units)
  c.used = c.used + units
end
-- What is due beyond the limit waits until room comes free.
local function charge_or_owe(c, units)
  local fits = max(0, min(units, c.limit - c.used))
  if fits > 0 then
    charge(c, c.slot, fits)
  end
  c.debt = min(c.debt + units - fits, c.limit * c.debt_windows)
end

local function pay(c, slot)
  local paid = min(c.debt, c.limit - c.used)
  if paid > 0 then
    charge(c, slot, paid)
    c.debt = c.debt - paid
  end
end

local function read_window(c)
  c.slot_ms = max(1, floor(c.length / 60))
  c.count = math.ceil(c.length / c.slot_ms)
  -- Ten minutes' worth, or one window.
  c.debt_windows = max(1, floor(DEBT_MS / c.length))
  local read = call('HMGET', c.key, 'u', 'd', 't', 'l', 'p:' .. me)
  c.used, c.debt = tonumber(read[1] or 0), tonumber(read[2] or 0)
  c.mine = read[5]
  c.slot = floor(now / c.slot_ms)
  local last = tonumber(read[4] or c.slot)
  if last > c.slot + c.count then
    -- The clock was set back by more than a window: nothing here could ever leave.
    call('DEL', c.key)
    c.used, c.debt, c.mine, last = 0, 0, nil, c.slot
  elseif last > c.slot then
    c.slot = last
  end
  c.first = c.slot - c.count
  local leaving = tonumber(read[3] or c.first)
  -- Also where nothing is used: what was given back has left slots of nothing behind.
  local fields = {}
  for s = leaving, min(c.first - 1, last) do
    fields[#fields + 1] = digits(s)
  end
  if #fields > 0 then
    local values = call('HMGET', c.key, unpack(fields))
    for i, s in ipairs(fields) do
      c.slots[tonumber(s)] = tonumber(values[i] or 0)
    end
    call('HDEL', c.key, unpack(fields))
  end
  if c.used > 0 or c.debt > 0 then
    -- What leaves makes room, and debt takes it at that moment.
    while leaving < c.first and (c.used > 0 or c.debt > 0) do
      local gone = c.slots[leaving] or 0
      c.used = c.used - gone
      c.slots[leaving], c.changed[leaving] = 0, nil
      pay(c, leaving + c.count + 1)
      leaving = leaving + 1
    end
    pay(c, c.slot)
  end
end

local function read_total(c)
  local read = call('HMGET', c.key, 'u', 'p:' .. me, 'b', 'g')
  c.mine = read[2]
  c.slot = 0
  if not read[1] and c.seed < 0 then
    c.unknown = true
    c.used = -1
    return
  end
  c.used = tonumber(read[1] or c.seed)
  c.began = read[4] == generation and tonumber(read[3]) or c.used
  -- Another replica knew more when the data was lost. What came since is on top of that.
  local more = max(0, c.floor - c.began)
  c.used, c.began = c.used + more, c.began + more
end

local function read_places(c)
  c.used, c.slot, c.others, c.others_hold = c.held, 0, 0, 0
  local all = call('HGETALL', c.key)
  for i = 1, #all, 2 do
    local name = string.sub(all[i], 3)
    local _, _, spare, till, held = seen_with(all[i + 1])
    if name == me then
      c.mine = all[i + 1]
    elseif alive[name] then
      c.used = c.used + held
      c.others_hold = c.others_hold + held
      if till > now then
        c.others = c.others + spare
      end
    else
      call('HDEL', c.key, all[i])
    end
  end
end

local function give_back(c, slot, units)
  if c.kind == 't' then
    c.used = max(0, c.used - units)
  elseif c.kind == 'w' then
    -- What was too much for the window is owed, and is the first to be forgiven.
    local forgiven = min(units, c.debt)
    c.debt = c.debt - forgiven
    if slot >= c.first and slot <= c.slot then
      local back = min(units - forgiven, slot_value(c, slot))
      set_slot(c, slot, slot_value(c, slot) - back)
      c.used = c.used - back
    end
  end
end

-- What others have leased and not reported as spent; who is gone is forgotten on the way.
local function others_unspent(c)
  if c.others then
    return c.others
  end
  c.others = 0
  local all = call('HGETALL', c.key)
  for i = 1, #all, 2 do
    local field = all[i]
    local replica = string.match(field, '^p:(.*)$')
    if replica then
      local _, _, spare, till = seen_with(all[i + 1])
      if alive[replica] then
        if till > now then
          c.others = c.others + spare
        end
      elseif replica ~= me then
        call('HDEL', c.key, field)
      end
    elseif c.kind == 'w' and tonumber(field) and not c.slots[tonumber(field)] then
      c.slots[tonumber(field)] = tonumber(all[i + 1])
    end
  end
  return c.others
end

-- How long until `need` fits, if nobody else comes.
local function wait_for(c, need)
  if c.kind == 'c' then
    return 1000
  elseif c.kind == 't' then
    return c.ends > 0 and max(1, c.ends - now) or -1
  end
  others_unspent(c)
  -- What was granted in this call stands in the present slot, as far as it fits; the rest is debt.
  local fits = max(0, min(c.taken, c.limit - c.used))
  local missing = need - c.room
  if need > c.limit then
    missing = c.used + c.debt + c.taken
  end
  -- As long as there is debt, what leaves is replaced at once: the slots come round as they are.
  local rounds = 0
  if c.limit > 0 and missing > c.used + fits then
    rounds = math.ceil(missing / c.limit) - 1
    missing = missing - rounds * c.limit
  end
  local wait, leaving = 0, 0
  for s = c.first, c.slot do
    leaving = leaving + (c.slots[s] or 0) + (s == c.slot and fits or 0)
    wait = (s + 1 + c.count) * c.slot_ms - now
    if leaving >= missing then
      break
    end
  end
  return max(1, wait + rounds * (c.count + 1) * c.slot_ms)
end

local all = {}
for i = 1, counters do
  local c = { key = KEYS[i + 2], kind = text(), limit = number(), slots = {}, changed = {}, taken = 0, debt = 0 }
  c.length = number()
  c.ends = c.length
  c.spare, c.held, c.owed, c.wanted = number(), number(), number(), number()
  c.seed, c.floor, c.lost = number(), number(), number()
  if c.kind == 'w' then
    read_window(c)
  elseif c.kind == 't' then
    read_total(c)
  else
    read_places(c)
  end
  local last, granted, _, _, _, slot = seen_with(c.mine)
  -- The reply to call `lost` never came, nor did any since that spoke of this counter. If the call itself
  -- arrived, what it brought is here already; and what the last of them to arrive was granted is nobody's.
  -- What those before it were granted came back with the next.
  local arrived = c.lost > 0 and last >= c.lost
  if arrived and not c.unknown then
    give_back(c, slot, granted)
  end
  for _ = 1, number() do
    local back_slot, units = number(), number()
    -- Of a replica that was forgotten nobody knows what it brought: better to count it twice.
    if not arrived and not c.unknown and not (forgotten and c.lost > 0) then
      give_back(c, back_slot, units)
    end
  end
  if c.owed > 0 and not arrived and not c.unknown then
    if c.kind == 'w' then
      charge_or_owe(c, c.owed)
    elseif c.kind == 't' then
      c.used = c.used + c.owed
    end
  end
  pay(c, c.slot)
  c.room = c.limit - c.used - c.debt
  all[i] = c
end

local verdicts = {}
for _ = 1, requests do
  local needs, worst, worst_wait, worst_need, recall = {}, nil, nil, nil, false
  for j = 1, number() do
    local i, need = number(), number()
    local c = all[i]
    needs[j] = { c, need }
    local alone = c.kind == 'w' and need > c.limit and c.limit > 0 and c.used == 0 and c.debt == 0 and c.taken == 0
    if c.unknown then
      if not worst or worst_wait >= 0 then
        worst, worst_wait = i, -2
      end
    elseif need > c.room and not alone and worst_wait ~= -2 then
      local wait = wait_for(c, need)
      if not worst or wait < 0 or (worst_wait >= 0 and wait > worst_wait) then
        worst, worst_wait, worst_need = i, wait, need
      end
    end
  end
  if not worst then
    for _, need in ipairs(needs) do
      need[1].room = need[1].room - need[2]
      need[1].taken = need[1].taken + need[2]
    end
    verdicts[#verdicts + 1] = 0
  else
    local others = 0
    if worst_wait ~= -2 then
      local c = all[worst]
      local unspent = others_unspent(c)
      if unspent > 0 or (c.others_hold or 0) > 0 then
        call('HSET', KEYS[2], c.key, digits(now))
        recalled[c.key] = true
      end
      if unspent > 0 and (c.room + unspent >= worst_need or worst_need > c.limit) then
        others = 1
      end
    end
    verdicts[#verdicts + 1] = worst
    verdicts[#verdicts + 1] = worst_wait
    verdicts[#verdicts + 1] = others
  end
end

local reply = { now, replicas, last_seq, generation, #recall_list }
for _, key in ipairs(recall_list) do
  reply[#reply + 1] = key
end
if next(recalled) then
  call('PEXPIRE', KEYS[2], 5000)
end
for _, c in ipairs(all) do
  local extra = 0
  if not c.unknown then
    -- A chunk beyond what is needed: only far from the limit, and never what another could miss.
    -- Until everybody has said what was lost, nobody gets more than is needed.
    if c.wanted > 0 and now - born >= YOUNG_MS and not recalled[c.key] and c.room * 20 >= c.limit then
      extra = max(0, min(c.wanted, floor(c.room / (2 * replicas))))
    end
    local granted = c.taken + extra
    local seen = { digits(seq), digits(granted), digits(c.spare + extra), digits(now + 2000),
      digits(c.held + granted), digits(c.slot) }
    local fields = { 'p:' .. me, table.concat(seen, ' ') }
    if c.kind == 'w' then
      if granted > 0 then
        charge_or_owe(c, granted)
      end
      for slot in pairs(c.changed) do
        fields[#fields + 1] = digits(slot)
        fields[#fields + 1] = digits(c.slots[slot])
      end
      for name, value in pairs({ u = c.used, d = c.debt, t = c.first, l = c.slot }) do
        fields[#fields + 1] = name
        fields[#fields + 1] = digits(value)
      end
      call('HSET', c.key, unpack(fields))
      call('PEXPIRE', c.key, c.length * (c.debt > 0 and c.debt_windows + 2 or 2) + 10000)
    elseif c.kind == 't' then
      c.used = c.used + granted
      call('HSET', c.key, fields[1], fields[2], 'u', digits(c.used), 'b', digits(c.began), 'g', generation)
      if c.ends > 0 then
        call('PEXPIREAT', c.key, c.ends + 604800000)
      end
    else
      c.used = c.used + granted
      call('HSET', c.key, unpack(fields))
      call('PEXPIRE', c.key, 86400000)
    end
  end
  reply[#reply + 1] = c.used + c.debt
  reply[#reply + 1] = extra
  reply[#reply + 1] = c.slot
end
for _, verdict in ipairs(verdicts) do
  reply[#reply + 1] = verdict
end
return reply
