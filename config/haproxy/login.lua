-- The action "login" of haproxy.cfg: sends the head of a request to the login service at LOGIN_URL.
--
-- The service answers
--   2xx  and X-User with the user, X-User-Expires with the end of the session (Unix seconds or RFC 3339);
--   401  (or 403) where there is no session: clients receive that answer, final for an EventSource.
-- Anything else, or no answer within 5 s, leaves txn.login_failed set, as does a fault of this script. A
-- request never has an identity that the service did not give: haproxy.cfg has removed what the client sent.
local url = assert(os.getenv("LOGIN_URL"), "set LOGIN_URL before lua-load")

-- What belongs to this connection or to the body is not sent to the service.
local own = {["host"] = true, ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true,
	["expect"] = true, ["te"] = true, ["upgrade"] = true, ["keep-alive"] = true, ["trailer"] = true}

local function headers_of(txn)
	local headers = {}
	for name, values in pairs(txn.http:req_get_headers()) do
		if not own[name] then
			headers[name] = {}
			for i = 0, #values do
				table.insert(headers[name], values[i])
			end
		end
	end
	headers["x-original-method"] = {txn.f:method()}
	headers["x-original-uri"] = {txn.sf:url()}
	return headers
end

local function first(headers, name)
	local values = headers[name]
	return values and (values[0] or values[1])
end

local function refuse(txn, answer)
	local reply = txn:reply({status = answer.status, body = answer.body})
	for _, name in ipairs({"www-authenticate", "content-type", "location", "set-cookie"}) do
		local value = first(answer.headers, name)
		if value then
			reply:add_header(name, value)
		end
	end
	reply:add_header("cache-control", "no-store")
	txn:done(reply)
end

core.register_action("login", {"http-req"}, function(txn)
	txn:set_var("txn.login_failed", true)
	local answer = core.httpclient():get({url = url, headers = headers_of(txn), timeout = 5000})
	if answer.status == 401 or answer.status == 403 then
		refuse(txn, answer)
	elseif answer.status >= 200 and answer.status < 300 then
		for _, name in ipairs({"x-user", "x-user-expires"}) do
			local value = first(answer.headers, name)
			if value then
				txn.http:req_set_header(name, value)
			end
		end
		txn:unset_var("txn.login_failed")
	end
end, 0)
