-- Client-Cert-Chain (RFC 9440 section 2.3) from what HAProxy has of the chain: DER certificates, one behind another.
-- It may begin with the leaf, which the header must not hold.

-- The length of the DER value that begins at `from`; nil when there is none.
local function der_length(der, from)
  local first = der:byte(from + 1)
  if der:byte(from) ~= 0x30 or first == nil then return nil end
  if first < 0x80 then return 2 + first end
  local length = 0
  for i = 1, first - 0x80 do
    length = length * 256 + (der:byte(from + 1 + i) or 0)
  end
  return 2 + (first - 0x80) + length
end

core.register_action("client_cert_chain", {"http-req"}, function(txn)
  local leaf, chain = txn.f:ssl_c_der(), txn.f:ssl_c_chain_der()
  if leaf == nil or chain == nil then return end
  local items, from = {}, 1
  while from <= #chain do
    local length = der_length(chain, from)
    if length == nil or from + length - 1 > #chain then return end
    local der = chain:sub(from, from + length - 1)
    if der ~= leaf then items[#items + 1] = ":" .. txn.c:base64(der) .. ":" end
    from = from + length
  end
  if #items > 0 then txn.http:req_set_header("Client-Cert-Chain", table.concat(items, ", ")) end
end)
